-- Writes of the controller: draws, decisions and outcomes.

-- Deletes a line: after Postgres was restored from a backup, Redis has turns that Postgres does
-- not.
local function delete_line(keys)
    for at = LINE, RETURNED do call('UNLINK', keys[at]) end
    return 1
end

-- The sale opens with a draw among the tickets given so far. May be repeated.
-- -> the highest ordinal of the draw
local function close_pool(keys)
    call('HSETNX', keys[LINE], 'pool', text(number(keys, 'highest')))
    return number(keys, 'pool')
end

-- Stores a part of the table of a draw, which takes effect with a publication. May be repeated,
-- since the table has one value, unless the database is restored to before the draw: a call of
-- an earlier epoch is rejected.
local function store_draw(keys, args)
    if tonumber(args.epoch) < number(keys, 'epoch') then return LATE end
    return call('SETRANGE', keys[DRAWN], args.offset, args.bytes)
end

-- Records the position of the cursor, no more often than PASSED_PARTS requires.
local function record_cursor(keys, cursor)
    local now = now_ms()
    local last = call('XREVRANGE', keys[PASSED], '+', '-', 'COUNT', 1)[1]
    local at, since = 0, 1 / 0
    if last then at, since = tonumber(string.match(last[1], '^%d+')), now - tonumber(last[2][2]) end
    if cursor <= at or since < number(keys, 'recall_ms') / PASSED_PARTS then return end
    call('XADD', keys[PASSED], 'MAXLEN', '~', PASSED_PARTS * 2, text(cursor) .. '-0', 't', text(now))
end

-- Marks all tickets in (cursor, above] as departed, and no other.
local function depart_range(keys, cursor, above)
    if above <= cursor then return end
    local function fill(to, byte, bit)
        local whole = math.floor((to + 1) / 8)
        if whole > 0 then call('SETRANGE', keys[DEPARTED], 0, string.rep(byte, whole)) end
        for ordinal = whole * 8, to do call('SETBIT', keys[DEPARTED], text(ordinal), bit) end
    end
    fill(above, '\255', 1)
    fill(cursor, '\0', 0)
end

local function has_draw(keys, drawn)
    return call('STRLEN', keys[DRAWN]) == tonumber(drawn) * 8
end

-- Begins an epoch, if this is the process that the controller has chosen. -> an error, or nil
-- The cursor passes all tickets of earlier epochs; each is recalled once it is presented. Before a
-- draw the cursor passes none: there they are departed until they are presented.
local function begin_epoch(keys, args, known_epoch)
    if args.begins_in ~= this_process() then return NO_LINE end
    -- A database that was restored to before the draw makes another one.
    if tonumber(args.drawn) == 0 then call('UNLINK', keys[DRAWN]) end
    if not has_draw(keys, args.drawn) then return NO_DRAW end
    -- Presence is deleted even if Redis kept everything: as in the record, only presented tickets
    -- wait.
    call('UNLINK', keys[ARRIVALS], keys[DEPARTED], keys[HISTORY], keys[SHOWN], keys[PRESENT])
    call('UNLINK', keys[RECALLED], keys[ABSENT], keys[RETURNED], keys[PASSED])
    -- Redis may have turns that a restored database does not have: no checkout accepts their
    -- tokens.
    if tonumber(args.epoch) - known_epoch >= RESTORED_EPOCHS then call('UNLINK', keys[TURNS], keys[CLAIMS]) end
    call('HDEL', keys[LINE], 'pool')
    call('HSET', keys[LINE], 'home', this_process(), 'highest', args.above, 'above', args.above, 'drawn', args.drawn,
        'rev', 0)
    depart_range(keys, tonumber(args.cursor), tonumber(args.above))
end

-- Makes a stored draw take effect. -> an error, or nil
local function apply_draw(keys, drawn)
    if tonumber(drawn) == number(keys, 'drawn') then return end
    if not has_draw(keys, drawn) then return NO_DRAW end
    call('HSET', keys[LINE], 'drawn', drawn)
    -- No ticket has been passed yet, and the scores are ordinals.
    call('UNLINK', keys[RETURNED])
    publish_change(keys, { kind = 'drawn', pool = tonumber(drawn) })
end

-- Stores the position of the line. The cursor never moves back.
-- -> cursor, highest, whether nodes have to be notified
local function advance(keys, args, drawn)
    local before = number(keys, 'cursor')
    local cursor = math.max(tonumber(args.cursor), before)
    if cursor < drawn then
        for place = before + 1, cursor do call('SETBIT', keys[DEPARTED], text(ordinal_at(keys, place, drawn)), 1) end
    end
    local moved = cursor ~= before or number(keys, 'highest') ~= number(keys, 'announced')
    local highest = math.max(number(keys, 'highest'), cursor)
    call('HSET', keys[LINE], 'publication', args.publication, 'epoch', args.epoch, 'cursor', text(cursor), 'highest',
        text(highest), 'announced', text(highest), 'granted', args.granted, 'recall_ms', args.recall_ms)
    return cursor, highest, moved
end

-- Deletes claims that the controller has handled, unless the page has claimed otherwise since.
local function delete_claims(keys, handled)
    for _, claim in ipairs(handled) do
        if call('HGET', keys[CLAIMS], claim.ordinal) == claim.claim then call('HDEL', keys[CLAIMS], claim.ordinal) end
    end
end

-- Stores outcomes of turns, unless the ticket has a final one. -> ordinals and outcomes that nodes
-- show
local function store_turns(keys, turns)
    local stored = {}
    for _, published in ipairs(turns) do
        local id, turn = published.ordinal, published.turn
        local known = call('HGET', keys[TURNS], id)
        -- The token of a shopper who has left goes back.
        if known == 'left' and is_live(turn) then call('HSET', keys[CLAIMS], id, 'left') end
        if not is_final(known) then
            call('HSET', keys[TURNS], id, turn)
            stored[#stored + 1] = { tonumber(id), turn }
        end
    end
    return stored
end

-- Tickets with an outcome wait no more: they leave every set of waiting tickets.
local function end_waits(keys, turns, cursor, drawn)
    local departed = {}
    for _, published in ipairs(turns) do
        local id, turn = published.ordinal, published.turn
        if turn ~= 'lapsed' then call('ZREM', keys[ABSENT], id) end
        local number_now = number_of(keys, tonumber(id), drawn)
        local place = text(number_now)
        call('ZREMRANGEBYSCORE', keys[RETURNED], place, place)
        if call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0 and not is_live(turn) then
            departed[#departed + 1] = tonumber(id)
        elseif number_now > cursor and turn ~= 'lapsed' and call('SETBIT', keys[DEPARTED], id, 1) == 0 then
            -- Removed from the line, or served before others: tickets behind it move up.
            departed[#departed + 1] = tonumber(id)
        end
    end
    if #departed > 0 then publish_presence(keys, 'departed', departed) end
end

local function publish_moved(keys, cursor, highest, turns)
    local change = { kind = 'moved', cursor = cursor, highest = highest }
    if #turns > 0 then change.turns = turns end
    publish_change(keys, change)
end

-- Deletes the batches of joins that the cursor has passed. The batch of the next ordinal stays, and
-- shuffled tickets can be in any batch.
local function trim_arrivals(keys, cursor, drawn)
    local batch = call('XREVRANGE', keys[ARRIVALS], text(cursor + 1) .. '-0', '-', 'COUNT', 1)[1]
    if batch and cursor >= drawn then call('XTRIM', keys[ARRIVALS], 'MINID', batch[1]) end
end

-- Tickets that came back after the controller's read were passed as if departed. They are served
-- next.
local function recall_returned(keys, cursor, drawn)
    local recalled, visitors = {}, {}
    local passed = call('ZRANGE', keys[RETURNED], '-inf', text(cursor), 'BYSCORE', 'WITHSCORES')
    for i = 1, #passed, 2 do
        local ordinal = ordinal_at(keys, tonumber(passed[i + 1]), drawn)
        local turn = call('HGET', keys[TURNS], text(ordinal))
        if not turn or turn == 'lapsed' then
            call('HDEL', keys[TURNS], text(ordinal))
            call('ZADD', keys[RECALLED], passed[i + 1], passed[i])
            recalled[#recalled + 1], visitors[#visitors + 1] = ordinal, visitor_in(passed[i])
        end
    end
    if #passed > 0 then call('ZREMRANGEBYSCORE', keys[RETURNED], '-inf', text(cursor)) end
    if #recalled > 0 then publish_presence(keys, 'recalled', recalled, visitors) end
end

local function store_card(keys, card)
    if call('HGET', keys[LINE], 'card') == card then return end
    call('HSET', keys[LINE], 'card', card)
    publish_change(keys, { kind = 'card', card = card })
end

-- kept_ms: how long a closed line is kept; 0: as long as it is published.
local function extend_expiry(keys, kept_ms)
    if kept_ms ~= '0' then
        call('HSET', keys[LINE], 'kept_until', text(now_ms() + tonumber(kept_ms)))
        for at = LINE, RETURNED do call('PEXPIRE', keys[at], kept_ms) end
    elseif call('PTTL', keys[LINE]) < ABANDONED_KEPT_MS - RENEWED_EVERY_MS then
        for at = LINE, RETURNED do call('PEXPIRE', keys[at], ABANDONED_KEPT_MS) end
    end
end

-- Publishes what the controller has committed. One that arrives late, or twice, is rejected.
-- begins_in: the process, if this begins an epoch, or empty; above: where its ordinals begin;
-- drawn: how many tickets a draw has shuffled; history_from: the first change the record lacks
local function publish(keys, args)
    local publication, epoch, known_epoch = tonumber(args.publication), tonumber(args.epoch), number(keys, 'epoch')
    if epoch < known_epoch or (epoch == known_epoch and publication <= number(keys, 'publication')) then return LATE end
    local begins = is_missing(call('HGET', keys[LINE], 'home')) or epoch > known_epoch
    local failure
    if begins then
        failure = begin_epoch(keys, args, known_epoch)
    else
        failure = apply_draw(keys, args.drawn)
    end
    if failure then return failure end

    local drawn = tonumber(args.drawn)
    local cursor, highest, moved = advance(keys, args, drawn)
    delete_claims(keys, args.handled_claims)
    local turns = store_turns(keys, args.turns)
    end_waits(keys, args.turns, cursor, drawn)
    if begins or moved or #turns > 0 then
        publish_moved(keys, cursor, highest, turns)
        record_cursor(keys, cursor)
        trim_arrivals(keys, cursor, drawn)
    end
    call('XTRIM', keys[HISTORY], 'MINID', args.history_from)
    recall_returned(keys, cursor, drawn)
    store_card(keys, args.card)
    extend_expiry(keys, args.kept_ms)
    return 1
end

-- Publishes outcomes of earlier epochs again, in bulk. Rejected after a later publication, since a
-- ticket may have another turn by then.
-- ordinals: four bytes each -> how many this has changed
local function republish_turns(keys, args)
    if number(keys, 'epoch') ~= tonumber(args.epoch) then return NO_LINE end
    if tonumber(args.publication) < number(keys, 'publication') then return LATE end
    local turn, packed, drawn = args.turn, args.ordinals, number(keys, 'drawn')
    local changed, turns, departed = 0, {}, {}
    for at = 1, #packed, 4 do
        local ordinal = struct.unpack('>I4', packed, at)
        local id = text(ordinal)
        local known = call('HGET', keys[TURNS], id)
        -- For a ticket that waits again a lapsed turn changes nothing.
        if known ~= turn and not is_final(known) and (known or turn ~= 'lapsed') then
            call('HSET', keys[TURNS], id, turn)
            changed = changed + 1
            local place = text(number_of(keys, ordinal, drawn))
            local waited = call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0
            if waited then departed[#departed + 1] = ordinal end
            if waited or known then turns[#turns + 1] = { ordinal, turn } end
        end
    end
    if #departed > 0 then publish_presence(keys, 'departed', departed) end
    if #turns > 0 then
        local cursor, highest = number(keys, 'cursor'), number(keys, 'highest')
        publish_change(keys, { kind = 'moved', cursor = cursor, highest = highest, turns = turns })
    end
    return changed
end

