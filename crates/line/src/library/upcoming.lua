-- Reads of the controller before a decision.

-- The tickets that were given after one, up to another, in order.
-- -> batches or the parts that were asked for; whether there are more
local function arrivals_after(keys, after, up_to, max)
    local given, count = {}, 0
    if after >= up_to then return given, false end
    local start = call('XREVRANGE', keys[ARRIVALS], text(after + 1) .. '-0', '-', 'COUNT', 1)[1]
    local batches = call('XRANGE', keys[ARRIVALS], start and start[1] or '-', text(up_to) .. '-0', 'COUNT', BATCHES_READ)
    for _, batch in ipairs(batches) do
        local first, visitors = tonumber(string.match(batch[1], '^%d+')), batch[2][2]
        local from, to = math.max(first, after + 1), math.min(first + #visitors / 16 - 1, up_to)
        if from <= to then
            if count >= max then return given, true end
            visitors = string.sub(visitors, (from - first) * 16 + 1, (to - first + 1) * 16)
            given[#given + 1] = { first = text(from), visitors = visitors }
            count = count + to - from + 1
        end
    end
    return given, #batches == BATCHES_READ
end

-- Changes of presence after one, in order.
-- -> entries; whether there are more
local function history_after(keys, after, max)
    local entries, count = {}, 0
    local kept = call('XRANGE', keys[HISTORY], '(' .. after, '+', 'COUNT', HISTORY_READ)
    for _, entry in ipairs(kept) do
        if count >= max then return entries, true end
        local fields = entry[2]
        local ordinals = field_of(fields, 'o')
        entries[#entries + 1] =
            { id = entry[1], kind = field_of(fields, 'k'), ordinals = ordinals, visitors = field_of(fields, 'v') }
        local _, spaces = string.gsub(ordinals, ' ', '')
        count = count + spaces + 1
    end
    return entries, #kept == HISTORY_READ
end

-- The first of these ordinals that has not departed; the one after them if all have.
local function first_present(keys, from, to)
    local at = call('BITPOS', keys[DEPARTED], 0, text(from), text(to), 'BIT')
    if at >= from then return at end
    -- Redis sees no zeros beyond the last byte.
    return math.min(math.max(from, call('STRLEN', keys[DEPARTED]) * 8), to + 1)
end

local function count_waiting(keys, cursor, highest, drawn)
    -- Shuffled tickets behind the cursor are in departed, too.
    local from = cursor < drawn and 0 or cursor
    -- A cursor of a later epoch may be beyond all that this process knows.
    local waiting = call('ZCARD', keys[RECALLED])
    if highest > from then
        waiting = waiting + highest - from - call('BITCOUNT', keys[DEPARTED], text(from + 1), text(highest), 'BIT')
    end
    return waiting
end

-- The next tickets in order of service: the recalled, then those beyond the cursor.
-- -> tickets; the cursor after them; how many of them are recalled
local function next_tickets(keys, cursor, wanted, reach)
    local highest, drawn = number(keys, 'highest'), number(keys, 'drawn')
    local tickets, recalled, seen = {}, {}, 0
    if wanted > 0 then
        recalled = call('ZRANGE', keys[RECALLED], 0, wanted - 1, 'WITHSCORES')
        for i = 1, #recalled, 2 do
            local ordinal = ordinal_at(keys, tonumber(recalled[i + 1]), drawn)
            tickets[#tickets + 1] = { ordinal = text(ordinal), visitor = visitor_in(recalled[i]) }
        end
    end
    while #tickets < wanted and cursor < highest and seen < reach do
        seen, cursor = seen + 1, cursor + 1
        -- A run of departed tickets is passed in one step, unless shuffled: those can be anywhere.
        if cursor > drawn then cursor = first_present(keys, cursor, highest) end
        if cursor > highest then
            cursor = highest
            break
        end
        local ordinal = ordinal_at(keys, cursor, drawn)
        if cursor > drawn or call('GETBIT', keys[DEPARTED], text(ordinal)) == 0 then
            -- No shopper can prove to hold an ordinal without a visitor; one who can later is
            -- recalled.
            local visitor = visitor_of(keys, ordinal)
            if visitor then tickets[#tickets + 1] = { ordinal = text(ordinal), visitor = visitor } end
        end
    end
    return tickets, cursor, #recalled / 2
end

-- What pages have reported since the last publication.
local function claims(keys)
    local fields, reported = call('HGETALL', keys[CLAIMS]), {}
    for at = 1, #fields, 2 do reported[#reported + 1] = { ordinal = fields[at], claim = fields[at + 1] } end
    return reported
end

-- What the controller has to read, and the next tickets after its cursor: none while the record
-- lags, so that all that a decision uses is recorded. record_max: 0 for no record; recorded: its
-- last ordinal; up_to: the last to read, or 0; history_after: its last change, or empty.
local function upcoming(keys, args)
    local cursor, wanted, max = tonumber(args.cursor), tonumber(args.wanted), tonumber(args.record_max)
    local highest, drawn = number(keys, 'highest'), number(keys, 'drawn')
    local arrivals, history, lags = {}, {}, false
    if max > 0 then
        local up_to = tonumber(args.up_to)
        arrivals, lags = arrivals_after(keys, tonumber(args.recorded), up_to > 0 and up_to or highest, max)
        -- A ticket is recorded before what its holder did.
        if not lags and args.history_after ~= '' then history, lags = history_after(keys, args.history_after, max) end
    end
    if lags then wanted = 0 end
    local tickets, cursor_after, recalled = next_tickets(keys, cursor, wanted, tonumber(args.reach))
    return reply(REPLIES.upcoming, {
        epoch = number(keys, 'epoch'),
        home = this_process(),
        highest = highest,
        granted = number(keys, 'granted'),
        cursor = cursor_after,
        drawn = drawn,
        waiting = count_waiting(keys, cursor, highest, drawn),
        absent = call('ZCARD', keys[ABSENT]),
        nodes = #nodes(keys),
        tickets = tickets,
        recalled = recalled,
        claims = claims(keys),
        arrivals = arrivals,
        history = history,
        lags = lags and 1 or 0,
    })
end

-- This process, and what it remembers of a line, even if the line is lost: a new epoch begins above
-- it.
local function home(keys)
    return reply(REPLIES.home, {
        run_id = this_process(),
        epoch = number(keys, 'epoch'),
        granted = math.max(number(keys, 'granted'), number(keys, 'highest')),
    })
end

