-- Joining, and what the holder of a ticket does.

-- Divides a batch into visitors whose account has a place already, and visitors who need a new one.
-- accounts: 17 bytes a visitor: "0" none, "1" one, "2" one whose turn is over; then its digest
-- -> visitors who need one; places, whose ordinal may be nil, for the nth of those; digest -> nth
local function divide_by_account(keys, visitors, accounts)
    local rest, places, new = {}, {}, {}
    for at = 0, #visitors / 16 - 1 do
        local visitor = string.sub(visitors, at * 16 + 1, at * 16 + 16)
        local wish, digest = string.sub(accounts, at * 17 + 1, at * 17 + 1), string.sub(accounts, at * 17 + 2, at * 17 + 17)
        local place
        if wish ~= '0' and new[digest] then
            place = { at = at, nth = new[digest], visitor = rest[new[digest]] }
        elseif wish ~= '0' then
            local ordinal, holder = string.match(call('HGET', keys[ACCOUNTS], digest) or '', '^(%d+):(.*)$')
            local is_exchanged = ordinal and wish == '2' and is_over(call('HGET', keys[TURNS], ordinal))
            if ordinal and not is_exchanged then place = { at = at, ordinal = ordinal, visitor = holder } end
        end
        if place then
            places[#places + 1] = place
        else
            rest[#rest + 1] = visitor
            if wish ~= '0' then new[digest] = #rest end
        end
    end
    return rest, places, new
end

local function bind_new_places(keys, new, visitors, first)
    for digest, nth in pairs(new) do
        local visitor = string.sub(visitors, nth * 16 - 15, nth * 16)
        call('HSET', keys[ACCOUNTS], digest, text(first + nth - 1) .. ':' .. visitor)
    end
end

-- The reply of an earlier call with the same batch id, which may have succeeded without its reply.
-- Tickets of an earlier epoch wait only once they are presented, and no shopper has one of these.
local function earlier_reply(keys, remembered, epoch)
    local packed = call('GET', remembered)
    local earlier = packed and cmsgpack.unpack(packed)
    return earlier and field_of(earlier, 'epoch') == epoch and earlier or nil
end

-- Issues a ticket to each shopper of a batch: the place of its account, or the next ordinals in
-- order. batch: an id, for a repeated call; visitors: packed ids; accounts: packed, or empty ->
-- epoch, first new ordinal, places of accounts by their position in the batch
local function join(keys, args)
    local remembered = keys[BATCHES] .. ':' .. args.batch
    local epoch, before, granted = numbers_of(keys, 'epoch', 'highest', 'granted')
    local joined = earlier_reply(keys, remembered, epoch)
    if not joined then
        local visitors, places, new = args.visitors, {}, {}
        if args.accounts ~= '' then
            local rest
            rest, places, new = divide_by_account(keys, visitors, args.accounts)
            visitors = table.concat(rest)
        end
        local first = before + 1
        if #visitors > 0 then
            local highest = first + #visitors / 16 - 1
            if highest > granted then return NONE_GRANTED end
            call('XADD', keys[ARRIVALS], text(first) .. '-0', 'v', visitors)
            call('HSET', keys[LINE], 'highest', text(highest))
            bind_new_places(keys, new, visitors, first)
        end
        for _, place in ipairs(places) do place.ordinal = place.ordinal or text(first + place.nth - 1) end
        joined = reply(REPLIES.join, { epoch = epoch, first = first, places = places })
        call('SET', remembered, cmsgpack.pack(joined), 'PX', REPLY_KEPT_MS)
    end
    return joined
end

-- Makes a ticket its account's place, if the account has none: Redis may have lost it.
local function bind_account(keys, args)
    return call('HSETNX', keys[ACCOUNTS], args.digest, args.ordinal .. ':' .. args.visitor)
end

-- Whether the turn of a number behind the cursor passed too long ago to be recalled.
local function is_too_late(keys, place)
    local passed = call('XRANGE', keys[PASSED], text(place) .. '-0', '+', 'COUNT', 1)[1]
    return passed and now_ms() - tonumber(passed[2][2]) > number(keys, 'recall_ms')
end

-- A ticket beyond the cursor. -> whether it comes back, since it was departed or is unknown
local function resume_before_turn(keys, ticket, place)
    local id, ordinal = ticket.ordinal, tonumber(ticket.ordinal)
    if ordinal > number(keys, 'highest') then
        -- A genuine ticket that even Postgres has lost: no ordinal up to it may be given again.
        call('XADD', keys[ARRIVALS], id .. '-0', 'v', ticket.visitor)
        call('HSET', keys[LINE], 'highest', id, 'granted', text(math.max(ordinal, number(keys, 'granted'))))
    elseif call('SETBIT', keys[DEPARTED], id, 0) == 1 then
        if ordinal <= number(keys, 'above') then call('HSET', keys[SHOWN], id, ticket.visitor) end
    else
        return false
    end
    -- The controller may have passed it already: see `recall_returned`.
    call('ZADD', keys[RETURNED], text(place), member(ticket.visitor, text(place)))
    return true
end

-- A ticket behind the cursor. -> its turn, and whether it is recalled now
local function resume_after_turn(keys, ticket, place)
    local name = member(ticket.visitor, text(place))
    if call('ZSCORE', keys[RECALLED], name) then return 'waiting', false end
    if is_too_late(keys, place) then return 'missed', false end
    call('ZADD', keys[RECALLED], text(place), name)
    call('HDEL', keys[TURNS], ticket.ordinal)
    return 'waiting', true
end

-- Presents tickets: shoppers reconnect, reload, open a second tab, or their node presents them. ->
-- epoch, rev, and the turn of each, as of then
local function resume(keys, args)
    local cursor, drawn = number(keys, 'cursor'), number(keys, 'drawn')
    local turns = {}
    local returned, recalled = { ordinals = {}, visitors = {} }, { ordinals = {}, visitors = {} }
    local function add(to, ticket)
        to.ordinals[#to.ordinals + 1], to.visitors[#to.visitors + 1] = tonumber(ticket.ordinal), ticket.visitor
    end
    for _, ticket in ipairs(args.tickets) do
        local place = number_of(keys, tonumber(ticket.ordinal), drawn)
        call('ZREM', keys[ABSENT], ticket.ordinal)
        local turn = call('HGET', keys[TURNS], ticket.ordinal)
        if not turn or turn == 'lapsed' then
            if place > cursor then
                turn = 'waiting'
                if resume_before_turn(keys, ticket, place) then add(returned, ticket) end
            else
                local is_recalled
                turn, is_recalled = resume_after_turn(keys, ticket, place)
                if is_recalled then add(recalled, ticket) end
            end
        end
        turns[#turns + 1] = turn
    end
    if #returned.ordinals > 0 then publish_presence(keys, 'returned', returned.ordinals, returned.visitors) end
    if #recalled.ordinals > 0 then publish_presence(keys, 'recalled', recalled.ordinals, recalled.visitors) end
    return reply(REPLIES.resume, { epoch = number(keys, 'epoch'), rev = number(keys, 'rev'), turns = turns })
end

-- Gives the place up, with the token if one is outstanding.
local function leave(keys, args)
    local turn = call('HGET', keys[TURNS], args.ordinal)
    if is_over(turn) then return 0 end
    if turn and turn ~= 'lapsed' then call('HSET', keys[CLAIMS], args.ordinal, 'left') end
    call('HSET', keys[TURNS], args.ordinal, 'left')
    local ordinal = tonumber(args.ordinal)
    depart(keys, ordinal)
    publish_presence(keys, 'left', { ordinal })
    return 1
end

-- The holder of a waiting ticket.
-- -> the visitor id; "gone" if it does not wait, "unknown" if it was never given
local function find(keys, args)
    local id, ordinal = args.ordinal, tonumber(args.ordinal)
    if ordinal > number(keys, 'highest') then return 'unknown' end
    local turn = call('HGET', keys[TURNS], id)
    if turn and turn ~= 'lapsed' then return 'gone' end
    local place = number_of(keys, ordinal, number(keys, 'drawn'))
    if place > number(keys, 'cursor') then
        if call('GETBIT', keys[DEPARTED], id) == 1 then return 'gone' end
        return visitor_of(keys, ordinal) or 'gone'
    end
    local recalled = call('ZRANGE', keys[RECALLED], text(place), text(place), 'BYSCORE')[1]
    return recalled and visitor_in(recalled) or 'gone'
end

-- A page has its token.
local function claim(keys, args)
    if call('HEXISTS', keys[TURNS], args.ordinal) == 0 then return 0 end
    return call('HSETNX', keys[CLAIMS], args.ordinal, 'claimed')
end

