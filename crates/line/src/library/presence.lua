-- Presence: grace periods, nodes and roll calls.

-- Starts grace periods. With `notify`, nodes are notified, so that a node with a second tab of the
-- shopper resumes the ticket. Polls end all the time, and their nodes are not notified.
local function absent(keys, args)
    local deadline = now_ms() + tonumber(args.grace_ms)
    local ordinals = {}
    for nth, id in ipairs(args.ordinals) do
        -- A ticket that has a turn, or had one, does not wait.
        local turn = call('HGET', keys[TURNS], id)
        if not turn or turn == 'lapsed' then call('ZADD', keys[ABSENT], deadline, id) end
        ordinals[nth] = tonumber(id)
    end
    if args.notify == '1' then publish_change(keys, { kind = 'absent', ordinals = ordinals }) end
    return #ordinals
end

-- The bitmaps of the nodes that are up.
local function nodes(keys)
    local bitmaps = {}
    for _, node in ipairs(call('ZRANGE', keys[PRESENT], text(now_ms()), '+inf', 'BYSCORE')) do
        bitmaps[#bitmaps + 1] = keys[PRESENT] .. ':' .. node
    end
    return bitmaps
end

-- Turns expired grace periods into departures, except those of connected shoppers: these began
-- before the shopper's node had reported them.
-- -> how many departed
local function sweep(keys, args)
    local due = call('ZRANGEBYSCORE', keys[ABSENT], '-inf', now_ms(), 'LIMIT', 0, args.max)
    if #due == 0 then return 0 end
    local bitmaps, ordinals = nodes(keys), {}
    for _, id in ipairs(due) do
        local connected = false
        for _, bitmap in ipairs(bitmaps) do connected = connected or call('GETBIT', bitmap, id) == 1 end
        if connected then
            call('ZREM', keys[ABSENT], id)
        else
            ordinals[#ordinals + 1] = tonumber(id)
            depart(keys, tonumber(id))
        end
    end
    if #ordinals > 0 then publish_presence(keys, 'departed', ordinals) end
    return #ordinals
end

-- A node that has presented its tickets in this epoch reports that it is up for a while, and its
-- connected ordinals as a bitmap. -> 0 in another epoch
local function present(keys, args)
    if tonumber(args.epoch) ~= number(keys, 'epoch') then return 0 end
    local now, bitmap = now_ms(), keys[PRESENT] .. ':' .. args.node
    call('ZREMRANGEBYSCORE', keys[PRESENT], '-inf', now)
    call('ZADD', keys[PRESENT], now + tonumber(args.up_for_ms), args.node)
    call('SET', bitmap, args.connected, 'PX', args.up_for_ms)
    -- A roll call misses shoppers who connected after their node's last report. They are present.
    for _, id in ipairs(call('ZRANGE', keys[ABSENT], -ABSENT_COMPARED, -1)) do
        if call('GETBIT', bitmap, id) == 1 then call('ZREM', keys[ABSENT], id) end
    end
    return 1
end

-- Recalled tickets that are connected to no node. -> ids, the mark to continue after, or 0
local function missing_recalled(keys, connected, after)
    local drawn, ids = number(keys, 'drawn'), {}
    local recalled = call('ZRANGE', keys[RECALLED], '(' .. text(after), '+inf', 'BYSCORE', 'LIMIT', 0,
        ROLL_CALL_STEP, 'WITHSCORES')
    for i = 2, #recalled, 2 do
        local id = text(ordinal_at(keys, tonumber(recalled[i]), drawn))
        if call('GETBIT', connected, id) == 0 then ids[#ids + 1] = id end
    end
    return ids, #recalled == 2 * ROLL_CALL_STEP and tonumber(recalled[#recalled]) or 0
end

-- Adds the tickets beyond the cursor that are connected to no node. -> the mark to continue after,
-- or 0
local function add_missing_beyond(keys, connected, after, ids)
    local cursor, highest, drawn = number(keys, 'cursor'), number(keys, 'highest'), number(keys, 'drawn')
    call('BITOP', 'OR', connected, connected, keys[DEPARTED])
    -- BITPOS sees no zeros beyond the last byte.
    call('SETBIT', connected, text(highest + 1), 0)
    -- Shuffled tickets behind the cursor are in departed, too.
    local ordinal = math.max(after - BEYOND_CURSOR, cursor < drawn and 0 or cursor)
    while ordinal < highest and #ids < ROLL_CALL_STEP do
        local next = call('BITPOS', connected, 0, text(ordinal + 1), text(highest), 'BIT')
        ordinal = highest
        if next >= 0 then
            ordinal = next
            ids[#ids + 1] = text(ordinal)
        end
    end
    return ordinal < highest and BEYOND_CURSOR + ordinal or 0
end

-- One step of a roll call: starts the grace period of waiting tickets that are connected to no
-- node, as after the death of a node. First the recalled, then those beyond the cursor.
-- after: the mark to continue after (0: from the start) -> the mark to continue after, or 0
local function roll_call(keys, args)
    local after, bitmaps = tonumber(args.after), nodes(keys)
    -- Before any node has reported its shoppers, none can be missing.
    if #bitmaps == 0 then return 0 end
    local connected, ids, mark = keys[PRESENT] .. ':', {}, 0
    call('BITOP', 'OR', connected, unpack(bitmaps))
    if after < BEYOND_CURSOR then
        ids, mark = missing_recalled(keys, connected, after)
        after = BEYOND_CURSOR
    end
    if mark == 0 then mark = add_missing_beyond(keys, connected, after, ids) end
    call('DEL', connected)
    local deadline = now_ms() + tonumber(args.grace_ms)
    for _, id in ipairs(ids) do call('ZADD', keys[ABSENT], 'NX', deadline, id) end
    return mark
end

