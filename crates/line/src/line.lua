#!lua name=fairline_v1

-- The atomic steps of the line. Keys, all in one hash slot, always in this order:
--   1 line      hash    epoch, cursor, highest, rev, publication, card
--   2 arrivals  stream  one entry a batch of joins: id = its first ordinal, field v = visitor ids of 16 bytes each
--   3 departed  bitmap  by ordinal: left, or silent past the grace period
--   4 recalled  zset    behind the cursor and waiting again: member = visitor id, score = ordinal
--   5 absent    zset    socket closed, grace period running: member = ordinal, score = deadline in ms
--   6 turns     hash    ordinal -> what became of its turn: a JSON object with the token, or "over" and why
--   7 claims    hash    ordinal -> "claimed" or "left": what the controller has to hear of turns
--   8 changes   stream  what happened, in order: id = rev, field c = JSON; every node follows it
--   9 visitors  hash    ordinal -> visitor id, for tickets that arrivals has lost
-- Every function that changes what a node shows raises rev by one and says the change in the same step, so a node
-- that has seen every rev has seen everything, and one that misses a rev knows it.

local LINE, ARRIVALS, DEPARTED, RECALLED, ABSENT, TURNS, CLAIMS, CHANGES, VISITORS = 1, 2, 3, 4, 5, 6, 7, 8, 9

-- Changes that a node may lag behind before it reads a snapshot instead.
local CHANGES_KEPT = 4096

local function call(...) return redis.call(...) end

local function number(keys, field)
    return tonumber(call('HGET', keys[LINE], field) or '0')
end

local function text(n) return string.format('%.0f', n) end

local function say(keys, change)
    local rev = call('HINCRBY', keys[LINE], 'rev', 1)
    call('XADD', keys[CHANGES], 'MAXLEN', '~', CHANGES_KEPT, text(rev) .. '-0', 'c', cjson.encode(change))
end

local function now_ms()
    local time = call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A line exists once the controller has published it; until then nobody can be given an ordinal, since Redis alone
-- can't know which ones were given before.
local function missing(keys)
    return call('HEXISTS', keys[LINE], 'epoch') == 0
end

local NO_LINE = { err = 'NOLINE the line of this sale is not published' }

-- The visitor id of an ordinal: from the batch it joined in, or from what its shopper showed later.
local function visitor_of(keys, ordinal)
    local batch = call('XREVRANGE', keys[ARRIVALS], text(ordinal) .. '-0', '-', 'COUNT', 1)[1]
    if batch then
        local first = tonumber(string.match(batch[1], '^%d+'))
        local at = (ordinal - first) * 16
        local visitors = batch[2][2]
        if at + 16 <= #visitors then return string.sub(visitors, at + 1, at + 16) end
    end
    return call('HGET', keys[VISITORS], text(ordinal))
end

-- args: the highest ordinal that the node has seen (this Redis may have forgotten it), visitor ids, packed
--   -> epoch, first ordinal
local function join(keys, args)
    if missing(keys) then return NO_LINE end
    local visitors = args[2]
    local first = math.max(number(keys, 'highest'), tonumber(args[1])) + 1
    local highest = first + #visitors / 16 - 1
    call('XADD', keys[ARRIVALS], text(first) .. '-0', 'v', visitors)
    call('HSET', keys[LINE], 'highest', text(highest))
    say(keys, { kind = 'joined', highest = highest })
    return { number(keys, 'epoch'), first }
end

-- The shopper is here: reconnects, reloads, opens a second tab.
-- args: ordinal, visitor id -> "waiting", or what became of its turn; and the rev at which that is so
local function resume(keys, args)
    if missing(keys) then return NO_LINE end
    local ordinal, visitor = tonumber(args[1]), args[2]
    local id = text(ordinal)
    call('ZREM', keys[ABSENT], id)

    local turn = call('HGET', keys[TURNS], id)
    if turn and turn ~= 'lapsed' then return { turn, number(keys, 'rev') } end

    if visitor_of(keys, ordinal) ~= visitor then call('HSET', keys[VISITORS], id, visitor) end
    if ordinal > number(keys, 'highest') then
        -- A genuine ticket that Redis has forgotten: no ordinal up to it may be given again.
        call('HSET', keys[LINE], 'highest', id)
        say(keys, { kind = 'joined', highest = ordinal })
    end
    local was_departed = call('SETBIT', keys[DEPARTED], id, 0) == 1
    if ordinal > number(keys, 'cursor') then
        if was_departed then say(keys, { kind = 'returned', ordinals = { ordinal } }) end
    elseif call('ZADD', keys[RECALLED], 'NX', id, visitor) == 1 then
        call('HDEL', keys[TURNS], id)
        say(keys, { kind = 'recalled', ordinals = { ordinal } })
    end
    return { 'waiting', number(keys, 'rev') }
end

-- The grace period runs. Of closed sockets nodes are told: one where the shopper still is, in a second tab, says so.
-- Polls end all the time and are not worth telling.
-- args: grace in ms, "told" or "untold", ordinals
local function absent(keys, args)
    if missing(keys) then return NO_LINE end
    local deadline = now_ms() + tonumber(args[1])
    local ordinals = {}
    for i = 3, #args do
        call('ZADD', keys[ABSENT], deadline, args[i])
        ordinals[#ordinals + 1] = tonumber(args[i])
    end
    if args[2] == 'told' then say(keys, { kind = 'absent', ordinals = ordinals }) end
    return #ordinals
end

local function depart(keys, ordinal)
    local id = text(ordinal)
    if ordinal > number(keys, 'cursor') then call('SETBIT', keys[DEPARTED], id, 1) end
    call('ZREMRANGEBYSCORE', keys[RECALLED], id, id)
    call('ZREM', keys[ABSENT], id)
end

-- Grace periods that have run out become departures.
-- args: how many at most -> how many
local function sweep(keys, args)
    if missing(keys) then return NO_LINE end
    local due = call('ZRANGEBYSCORE', keys[ABSENT], '-inf', now_ms(), 'LIMIT', 0, args[1])
    if #due == 0 then return 0 end
    local ordinals = {}
    for _, id in ipairs(due) do
        ordinals[#ordinals + 1] = tonumber(id)
        depart(keys, tonumber(id))
    end
    say(keys, { kind = 'departed', ordinals = ordinals })
    return #due
end

-- The shopper gives the place up. A token that is out is given back with it.
-- args: ordinal
local function leave(keys, args)
    if missing(keys) then return NO_LINE end
    local ordinal = tonumber(args[1])
    local turn = call('HGET', keys[TURNS], args[1])
    if turn == 'left' or turn == 'bought' or turn == 'expired' then return 0 end
    if turn and turn ~= 'lapsed' then call('HSET', keys[CLAIMS], args[1], 'left') end
    call('HSET', keys[TURNS], args[1], 'left')
    depart(keys, ordinal)
    say(keys, { kind = 'left', ordinals = { ordinal } })
    return 1
end

-- A page has its token.
-- args: ordinal
local function claim(keys, args)
    if call('HEXISTS', keys[TURNS], args[1]) == 0 then return 0 end
    return call('HSETNX', keys[CLAIMS], args[1], 'claimed')
end

-- What the controller has to hear, and who comes next after the cursor that it knows; changes nothing.
-- args: cursor, how many, how far to look
--   -> epoch, highest, cursor after, people waiting, {ordinal, visitor id, …}, {ordinal, claim, …}
local function upcoming(keys, args)
    if missing(keys) then return NO_LINE end
    local cursor, wanted, reach = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
    local highest = number(keys, 'highest')
    local waiting = highest - cursor - call('BITCOUNT', keys[DEPARTED], text(cursor + 1), text(highest), 'BIT')
        + call('ZCARD', keys[RECALLED])
    local tickets = {}
    if wanted > 0 then
        local recalled = call('ZRANGE', keys[RECALLED], 0, wanted - 1, 'WITHSCORES')
        for i = 1, #recalled, 2 do
            tickets[#tickets + 1] = recalled[i + 1]
            tickets[#tickets + 1] = recalled[i]
        end
    end
    local last = math.min(highest, cursor + reach)
    while #tickets < wanted * 2 and cursor < last do
        cursor = cursor + 1
        if call('GETBIT', keys[DEPARTED], text(cursor)) == 0 then
            -- Nobody can prove to be an ordinal that lost its visitor; whoever can later is recalled then.
            local visitor = visitor_of(keys, cursor)
            if visitor then
                tickets[#tickets + 1] = text(cursor)
                tickets[#tickets + 1] = visitor
            end
        end
    end
    return { number(keys, 'epoch'), highest, cursor, waiting, tickets, call('HGETALL', keys[CLAIMS]) }
end

-- What the controller has decided and committed. Later publications win over late ones.
-- args: publication, epoch, cursor, highest, card, for how many ms more the line is kept (0: for ever),
--       how many claims were heard, their ordinals and words, then ordinals and what became of their turns
local function publish(keys, args)
    local publication = tonumber(args[1])
    if publication < number(keys, 'publication') then return 0 end
    local cursor = math.max(tonumber(args[3]), number(keys, 'cursor'))
    local highest = math.max(tonumber(args[4]), number(keys, 'highest'), cursor)
    local moved = missing(keys) or cursor ~= number(keys, 'cursor') or highest ~= number(keys, 'highest')
    call('HSET', keys[LINE], 'publication', args[1], 'epoch', args[2], 'cursor', text(cursor), 'highest', text(highest))

    local heard_end = 7 + 2 * tonumber(args[7])
    for i = 8, heard_end, 2 do
        if call('HGET', keys[CLAIMS], args[i]) == args[i + 1] then call('HDEL', keys[CLAIMS], args[i]) end
    end

    local turns = {}
    for i = heard_end + 1, #args, 2 do
        local id, turn = args[i], args[i + 1]
        -- Whoever has left stays so; what becomes of the token then concerns nobody.
        if call('HGET', keys[TURNS], id) ~= 'left' then
            call('HSET', keys[TURNS], id, turn)
            turns[#turns + 1] = { tonumber(id), turn }
        end
        call('ZREMRANGEBYSCORE', keys[RECALLED], id, id)
        call('HDEL', keys[VISITORS], id)
    end
    if moved or #turns > 0 then
        local change = { kind = 'moved', cursor = cursor, highest = highest }
        if #turns > 0 then change.turns = turns end
        say(keys, change)
        -- The batch that the next ordinal is in stays.
        local batch = call('XREVRANGE', keys[ARRIVALS], text(cursor + 1) .. '-0', '-', 'COUNT', 1)[1]
        if batch then call('XTRIM', keys[ARRIVALS], 'MINID', batch[1]) end
    end

    if call('HGET', keys[LINE], 'card') ~= args[5] then
        call('HSET', keys[LINE], 'card', args[5])
        say(keys, { kind = 'card', card = args[5] })
    end
    if args[6] ~= '0' then
        for _, key in ipairs(keys) do call('PEXPIRE', key, args[6]) end
    end
    return 1
end

-- Everything that a node needs to show places, at one moment.
-- -> epoch, rev, cursor, highest, card, departed bitmap, {recalled ordinals}
local function snapshot(keys)
    if missing(keys) then return NO_LINE end
    local ordinals = {}
    local recalled = call('ZRANGE', keys[RECALLED], 0, -1, 'WITHSCORES')
    for i = 2, #recalled, 2 do ordinals[#ordinals + 1] = recalled[i] end
    return {
        number(keys, 'epoch'), number(keys, 'rev'), number(keys, 'cursor'), number(keys, 'highest'),
        call('HGET', keys[LINE], 'card') or '', call('GET', keys[DEPARTED]) or '', ordinals,
    }
end

redis.register_function('fairline_v1_join', join)
redis.register_function('fairline_v1_resume', resume)
redis.register_function('fairline_v1_absent', absent)
redis.register_function('fairline_v1_sweep', sweep)
redis.register_function('fairline_v1_leave', leave)
redis.register_function('fairline_v1_claim', claim)
redis.register_function{ function_name = 'fairline_v1_upcoming', callback = upcoming, flags = { 'no-writes' } }
redis.register_function('fairline_v1_publish', publish)
redis.register_function{ function_name = 'fairline_v1_snapshot', callback = snapshot, flags = { 'no-writes' } }
