#!lua name=fairline_v3

-- The version in the names grows with every change of keys or arguments, so that services of before and after run side by
-- side during a roll-out.
--
-- The atomic steps of the line. Keys, all in one hash slot, always in this order:
--   1 line      hash    epoch, rev, home, above, cursor, highest, granted, publication, recall_ms, card, pool, drawn, kept_until
--   2 arrivals  stream  one entry a batch of joins: id = its first ordinal, field v = visitor ids of 16 bytes each
--   3 departed  bitmap  by ordinal: left, or silent past the grace period
--   4 recalled  zset    behind the cursor and waiting again: member = visitor id, then the number; score = number
--   5 absent    zset    tickets that wait, with a closed page: member = ordinal, score = end of the grace
--                       period in ms
--   6 turns     hash    ordinal -> what became of its turn: a JSON object with the token, or "over" and why
--   7 claims    hash    ordinal -> "claimed" or "left": what the controller has to hear of turns
--   8 passed    stream  where the cursor was when: id = cursor, field t = time in ms
--   9 accounts  hash    digest of an account -> its ordinal (8 bytes) and visitor id (16 bytes)
--  10 present   zset    the nodes that are up: member = node, score = deadline in ms. Beside it, for each of them, a
--                       bitmap of the ordinals that are connected there, under this key with ":" and the node behind it
--  11 history   stream  what the record has to hear: id = epoch-rev of the change, fields k = its kind, o = ordinals,
--                       v = visitor ids of those who showed their tickets
--  12 drawn     string  of a draw: the number by ordinal, then the ordinal by number, four bytes each
--  13 shown     hash    tickets of earlier epochs that wait beyond the cursor: ordinal -> visitor id
--  14 returned  zset    came back before the turn, after the grace period: member and score as of recalled
--  15 batches   string  of each batch of joins, under this key with ":" and the batch's id: its answer, for a repeated call
--  16 changes   channel what happened, in order, for every node; no key, but of the same slot
--
-- A line is served by *number*. The number of a ticket is its ordinal, but for those whom a draw has shuffled: then 'drawn'
-- says how many those are, and the table of that name which number each has. The cursor, and the scores of recalled,
-- returned and passed, are numbers; everything else goes by ordinal, which never changes. So a draw is one step: the table is laid down
-- first, and counts from the publication on that says so.
--
-- Every function that changes what a node shows raises rev by one and says the change in the same step, so a node
-- that has seen every rev has seen everything, and one that misses a rev knows it.
--
-- A line lives in one process: whatever a Redis that was started anew, or took over, remembers of a line may lack its last
-- moments. Such a line counts as lost, until the controller begins a new epoch of it, whose ordinals lie above every one
-- that can ever have been given: Redis gives none beyond those that Postgres has granted.

local LINE, ARRIVALS, DEPARTED, RECALLED, ABSENT, TURNS = 1, 2, 3, 4, 5, 6
local CLAIMS, PASSED, ACCOUNTS, PRESENT, HISTORY, DRAWN, SHOWN = 7, 8, 9, 10, 11, 12, 13
local RETURNED, BATCHES, CHANGES = 14, 15, 16

-- How finely it is known when the cursor passed a ticket: in parts of the recall window.
local PASSED_PARTS = 500
-- How long the answer to a batch of joins is kept, in ms; a caller repeats within seconds.
local ANSWER_KEPT = 60000
-- Tickets looked at in one step of a roll call, so that none blocks Redis for long.
local CALLED_AT_ONCE = 2000
-- Absent tickets that one step compares with the shoppers of a node, those with the last deadlines.
local FOUND_AT_ONCE = 5000
-- An epoch that leaps by so many was begun after the database was restored.
local RESTORED_EPOCHS = 1000
-- How long a line is kept that no controller publishes any more: its sale is gone, or its database.
local UNHEARD_KEPT_MS, RENEWED_EVERY_MS = 30 * 24 * 3600 * 1000, 3600 * 1000
-- In the mark of a roll call: beyond it are ordinals, before it the numbers of the recalled.
local BEYOND_CURSOR = 2 ^ 40
-- Batches of joins, and entries of history, that are read in one step.
local BATCHES_READ, HISTORY_READ = 4000, 1000

local function call(...) return redis.call(...) end

local function number(keys, field)
    return tonumber(call('HGET', keys[LINE], field) or '0')
end

local function text(n) return string.format('%.0f', n) end

local function now_ms()
    local time = call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- This process. It never changes while this library is loaded, so it is read once.
local run_id
local function home()
    if not run_id then run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)') end
    return run_id
end

-- A line exists once the controller has begun its epoch in this process; until then nobody can be given an ordinal,
-- since Redis alone can't know which ones were given before.
local function missing(keys)
    return call('HGET', keys[LINE], 'home') ~= home()
end

-- The n-th entry, from 1 on, of the table of the draw.
local function of_table(keys, n)
    return (struct.unpack('>I4', call('GETRANGE', keys[DRAWN], (n - 1) * 4, n * 4 - 1)))
end

-- drawn: how many the draw has shuffled
local function number_of(keys, ordinal, drawn)
    if ordinal > drawn then return ordinal end
    return of_table(keys, ordinal)
end

local function ordinal_at(keys, number, drawn)
    if number > drawn then return number end
    return of_table(keys, drawn + number)
end

local NO_LINE = { err = 'NOLINE the line of this sale is not published' }
local NONE_GRANTED = { err = 'NOORDINAL the controller has granted no more ordinals' }

local function say(keys, change)
    local rev = call('HINCRBY', keys[LINE], 'rev', 1)
    change.epoch, change.rev = number(keys, 'epoch'), rev
    call('SPUBLISH', keys[CHANGES], cjson.encode(change))
    return text(change.epoch) .. '-' .. text(rev)
end

-- Says a change of who is there, and keeps it for the record until the controller has written it down. What is kept has a
-- bound: between two sweeps, which are the controller's, a ticket can come and go but once.
local function say_and_keep(keys, kind, ordinals, visitors)
    local id = say(keys, { kind = kind, ordinals = ordinals })
    call('XADD', keys[HISTORY], id, 'k', kind, 'o', table.concat(ordinals, ' '), 'v', table.concat(visitors or {}))
end

-- The visitor id of an ordinal beyond the cursor, if anybody can prove to hold it.
local function visitor_of(keys, ordinal)
    local batch = call('XREVRANGE', keys[ARRIVALS], text(ordinal) .. '-0', '-', 'COUNT', 1)[1]
    if batch then
        local at = (ordinal - tonumber(string.match(batch[1], '^%d+'))) * 16
        local visitors = batch[2][2]
        if at + 16 <= #visitors then return string.sub(visitors, at + 1, at + 16) end
    end
    return call('HGET', keys[SHOWN], text(ordinal)) or nil
end

-- One visitor may have two tickets that wait, so the visitor id alone does not name a member of recalled or returned.
local function member(visitor, place) return visitor .. place end
local function visitor_in(name) return string.sub(name, 1, 16) end

local function over(turn)
    return turn == 'left' or turn == 'removed' or turn == 'limit' or turn == 'bought' or turn == 'expired'
end

local function is_live(turn) return string.sub(turn, 1, 1) == '{' end

-- Who of a batch has a place under the account already, and the rest of the batch, which is to have new ones.
-- accounts: 17 bytes for each visitor: whether it has one ("1"), wants a new place if the old one is over ("2") or has
--   none ("0"), and its digest
-- -> visitors of the rest; {position in the batch, ordinal (or -n for the n-th of the rest), visitor, …}; digest -> n
local function known(keys, visitors, accounts)
    local rest, places, new = {}, {}, {}
    for at = 0, #visitors / 16 - 1 do
        local visitor = string.sub(visitors, at * 16 + 1, at * 16 + 16)
        local wish, digest = string.sub(accounts, at * 17 + 1, at * 17 + 1), string.sub(accounts, at * 17 + 2, at * 17 + 17)
        local ordinal, holder
        if wish ~= '0' and new[digest] then
            ordinal, holder = '-' .. new[digest], rest[new[digest]]
        elseif wish ~= '0' then
            ordinal, holder = string.match(call('HGET', keys[ACCOUNTS], digest) or '', '^(%d+):(.*)$')
            if ordinal and wish == '2' and over(call('HGET', keys[TURNS], ordinal)) then ordinal = nil end
        end
        if ordinal then
            places[#places + 1] = at
            places[#places + 1] = ordinal
            places[#places + 1] = holder
        else
            rest[#rest + 1] = visitor
            if wish ~= '0' then new[digest] = #rest end
        end
    end
    return rest, places, new
end

-- A batch has one answer: a call that comes again, since the first may have succeeded unheard, has the answer of the first.
-- args: the batch's id; visitor ids, packed; accounts, packed, or nothing
--   -> epoch, first ordinal, {position in the batch, ordinal, visitor of a place that its account has, …}
-- All others have the ordinals from the first on, in order.
local function join(keys, args)
    if missing(keys) then return NO_LINE end
    local remembered, epoch = keys[BATCHES] .. ':' .. args[1], number(keys, 'epoch')
    local answer = call('GET', remembered)
    if answer then
        answer = cmsgpack.unpack(answer)
        -- Tickets of an earlier epoch wait only if they are shown, and nobody has heard of these.
        if answer[1] == epoch then return answer end
    end
    local visitors, accounts = args[2], args[3]
    local places, new = {}, {}
    if accounts ~= '' then
        local rest
        rest, places, new = known(keys, visitors, accounts)
        visitors = table.concat(rest)
    end
    local first = number(keys, 'highest') + 1
    if #visitors > 0 then
        local highest = first + #visitors / 16 - 1
        if highest > number(keys, 'granted') then return NONE_GRANTED end
        call('XADD', keys[ARRIVALS], text(first) .. '-0', 'v', visitors)
        call('HSET', keys[LINE], 'highest', text(highest))
        for digest, nth in pairs(new) do
            local visitor = string.sub(visitors, nth * 16 - 15, nth * 16)
            call('HSET', keys[ACCOUNTS], digest, text(first + nth - 1) .. ':' .. visitor)
        end
    end
    for i = 2, #places, 3 do
        local ordinal = tonumber(places[i])
        if ordinal < 0 then places[i] = text(first - ordinal - 1) end
    end
    answer = { epoch, first, places }
    call('SET', remembered, cmsgpack.pack(answer), 'PX', ANSWER_KEPT)
    return answer
end

-- A ticket is its account's place, if the account has none; Redis may have forgotten.
-- args: digest, ordinal, visitor id
local function name(keys, args)
    if missing(keys) then return NO_LINE end
    return call('HSETNX', keys[ACCOUNTS], args[1], args[2] .. ':' .. args[3])
end

-- Whether the turn of a number behind the cursor passed too long ago to be called again.
local function is_too_late(keys, place)
    local passed = call('XRANGE', keys[PASSED], text(place) .. '-0', '+', 'COUNT', 1)[1]
    return passed and now_ms() - tonumber(passed[2][2]) > number(keys, 'recall_ms')
end

-- Shoppers are here: they reconnect, reload, open a second tab, or their node tells of them.
-- args: ordinal, visitor id, … -> epoch, rev, and for each "waiting", or what became of its turn, as of then
local function resume(keys, args)
    if missing(keys) then return NO_LINE end
    local cursor, drawn = number(keys, 'cursor'), number(keys, 'drawn')
    local turns, returned, recalled, back, again = {}, {}, {}, {}, {}
    for i = 1, #args, 2 do
        local id, visitor = args[i], args[i + 1]
        local ordinal = tonumber(id)
        local place = number_of(keys, ordinal, drawn)
        call('ZREM', keys[ABSENT], id)
        local turn = call('HGET', keys[TURNS], id)
        if turn and turn ~= 'lapsed' then
            turns[#turns + 1] = turn
        elseif place > cursor then
            if ordinal > number(keys, 'highest') then
                -- A genuine ticket that even Postgres has forgotten: no ordinal up to it may be given again.
                call('XADD', keys[ARRIVALS], id .. '-0', 'v', visitor)
                call('HSET', keys[LINE], 'highest', id, 'granted', text(math.max(ordinal, number(keys, 'granted'))))
                returned[#returned + 1], back[#back + 1] = ordinal, visitor
            elseif call('SETBIT', keys[DEPARTED], id, 0) == 1 then
                if ordinal <= number(keys, 'above') then call('HSET', keys[SHOWN], id, visitor) end
                returned[#returned + 1], back[#back + 1] = ordinal, visitor
            end
            -- The controller may have passed it already: see 'publish'.
            if returned[#returned] == ordinal then call('ZADD', keys[RETURNED], text(place), member(visitor, text(place))) end
            turns[#turns + 1] = 'waiting'
        elseif call('ZSCORE', keys[RECALLED], member(visitor, text(place))) then
            turns[#turns + 1] = 'waiting'
        elseif is_too_late(keys, place) then
            turns[#turns + 1] = 'missed'
        else
            call('ZADD', keys[RECALLED], text(place), member(visitor, text(place)))
            call('HDEL', keys[TURNS], id)
            recalled[#recalled + 1], again[#again + 1] = ordinal, visitor
            turns[#turns + 1] = 'waiting'
        end
    end
    if #returned > 0 then say_and_keep(keys, 'returned', returned, back) end
    if #recalled > 0 then say_and_keep(keys, 'recalled', recalled, again) end
    return { number(keys, 'epoch'), number(keys, 'rev'), turns }
end

-- The grace period runs. Of closed sockets nodes are told: one where the shopper still is, in a second tab, says so.
-- Polls end all the time and are not worth telling.
-- args: grace in ms, "told" or "untold", ordinals
local function absent(keys, args)
    if missing(keys) then return NO_LINE end
    local deadline = now_ms() + tonumber(args[1])
    local ordinals = {}
    for i = 3, #args do
        -- A ticket that has a turn, or had one, does not wait.
        local turn = call('HGET', keys[TURNS], args[i])
        if not turn or turn == 'lapsed' then call('ZADD', keys[ABSENT], deadline, args[i]) end
        ordinals[#ordinals + 1] = tonumber(args[i])
    end
    if args[2] == 'told' then say(keys, { kind = 'absent', ordinals = ordinals }) end
    return #ordinals
end

local function depart(keys, ordinal)
    local id, place = text(ordinal), number_of(keys, ordinal, number(keys, 'drawn'))
    if place > number(keys, 'cursor') then call('SETBIT', keys[DEPARTED], id, 1) end
    call('ZREMRANGEBYSCORE', keys[RECALLED], text(place), text(place))
    call('ZREMRANGEBYSCORE', keys[RETURNED], text(place), text(place))
    call('ZREM', keys[ABSENT], id)
end

-- The bitmaps of the nodes that are up.
local function nodes(keys)
    local bitmaps = {}
    for _, node in ipairs(call('ZRANGE', keys[PRESENT], text(now_ms()), '+inf', 'BYSCORE')) do
        bitmaps[#bitmaps + 1] = keys[PRESENT] .. ':' .. node
    end
    return bitmaps
end

-- Grace periods that have run out become departures, but for those who are connected somewhere all the same: theirs
-- began while their node had not told of them yet.
-- args: how many at most -> how many departed
local function sweep(keys, args)
    if missing(keys) then return NO_LINE end
    local due = call('ZRANGEBYSCORE', keys[ABSENT], '-inf', now_ms(), 'LIMIT', 0, args[1])
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
    if #ordinals > 0 then say_and_keep(keys, 'departed', ordinals) end
    return #ordinals
end

-- A node says that it is up, and who is connected to it.
-- args: node, for how many ms that is true, bitmap by ordinal
local function present(keys, args)
    if missing(keys) then return NO_LINE end
    local now, bitmap = now_ms(), keys[PRESENT] .. ':' .. args[1]
    call('ZREMRANGEBYSCORE', keys[PRESENT], '-inf', now)
    call('ZADD', keys[PRESENT], now + tonumber(args[2]), args[1])
    call('SET', bitmap, args[3], 'PX', args[2])
    -- A roll call misses shoppers who connected after their node last reported. They are present.
    for _, id in ipairs(call('ZRANGE', keys[ABSENT], -FOUND_AT_ONCE, -1)) do
        if call('GETBIT', bitmap, id) == 1 then call('ZREM', keys[ABSENT], id) end
    end
    return 1
end

-- A roll call: whoever waits and is connected to no node starts the grace period, as after the death of a node that could
-- not say goodbye. One step of it, so that it never takes long: first the recalled, then those beyond the cursor.
-- args: grace in ms, the mark after which to go on (0: from the start) -> the mark to go on after, or 0
local function roll_call(keys, args)
    if missing(keys) then return NO_LINE end
    local after, cursor, highest = tonumber(args[2]), number(keys, 'cursor'), number(keys, 'highest')
    local drawn = number(keys, 'drawn')
    local bitmaps = nodes(keys)
    -- While no node has told of anybody, nobody can be missed.
    if #bitmaps == 0 then return 0 end
    local union, missed, mark = keys[PRESENT] .. ':', {}, 0
    call('BITOP', 'OR', union, unpack(bitmaps))
    if after < BEYOND_CURSOR then
        local recalled = call('ZRANGE', keys[RECALLED], '(' .. text(after), '+inf', 'BYSCORE', 'LIMIT', 0,
            CALLED_AT_ONCE, 'WITHSCORES')
        for i = 2, #recalled, 2 do
            local id = text(ordinal_at(keys, tonumber(recalled[i]), drawn))
            if call('GETBIT', union, id) == 0 then missed[#missed + 1] = id end
        end
        after = BEYOND_CURSOR
        if #recalled == 2 * CALLED_AT_ONCE then mark = tonumber(recalled[#recalled]) end
    end
    if mark == 0 then
        call('BITOP', 'OR', union, union, keys[DEPARTED])
        -- BITPOS sees no zeros beyond the last byte.
        call('SETBIT', union, text(highest + 1), 0)
        -- Of those who were shuffled, the ones behind the cursor are in departed, too.
        local ordinal = math.max(after - BEYOND_CURSOR, cursor < drawn and 0 or cursor)
        while ordinal < highest and #missed < CALLED_AT_ONCE do
            local next = call('BITPOS', union, 0, text(ordinal + 1), text(highest), 'BIT')
            ordinal = highest
            if next >= 0 then
                ordinal = next
                missed[#missed + 1] = text(ordinal)
            end
        end
        if ordinal < highest then mark = BEYOND_CURSOR + ordinal end
    end
    call('DEL', union)
    local deadline = now_ms() + tonumber(args[1])
    for _, id in ipairs(missed) do call('ZADD', keys[ABSENT], 'NX', deadline, id) end
    return mark
end

-- The shopper gives the place up. A token that is out is given back with it.
-- args: ordinal
local function leave(keys, args)
    if missing(keys) then return NO_LINE end
    local ordinal = tonumber(args[1])
    local turn = call('HGET', keys[TURNS], args[1])
    if over(turn) then return 0 end
    if turn and turn ~= 'lapsed' then call('HSET', keys[CLAIMS], args[1], 'left') end
    call('HSET', keys[TURNS], args[1], 'left')
    depart(keys, ordinal)
    say_and_keep(keys, 'left', { ordinal })
    return 1
end

-- Who holds a ticket that waits.
-- args: ordinal -> the visitor id; "gone" if it does not wait, "unknown" if it was never given
local function find(keys, args)
    if missing(keys) then return NO_LINE end
    local id, ordinal = args[1], tonumber(args[1])
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
-- args: ordinal
local function claim(keys, args)
    if missing(keys) then return NO_LINE end
    if call('HEXISTS', keys[TURNS], args[1]) == 0 then return 0 end
    return call('HSETNX', keys[CLAIMS], args[1], 'claimed')
end

-- The tickets that were given after one, in order.
-- -> {first ordinal, visitor ids, …}, whether there are more
local function arrivals_after(keys, after, till, most)
    local given, count = {}, 0
    if after >= till then return given, false end
    local start = call('XREVRANGE', keys[ARRIVALS], text(after + 1) .. '-0', '-', 'COUNT', 1)[1]
    local batches = call('XRANGE', keys[ARRIVALS], start and start[1] or '-', text(till) .. '-0', 'COUNT', BATCHES_READ)
    for _, batch in ipairs(batches) do
        local first, visitors = tonumber(string.match(batch[1], '^%d+')), batch[2][2]
        local from, to = math.max(first, after + 1), math.min(first + #visitors / 16 - 1, till)
        if from <= to then
            if count >= most then return given, true end
            given[#given + 1] = text(from)
            given[#given + 1] = string.sub(visitors, (from - first) * 16 + 1, (to - first + 1) * 16)
            count = count + to - from + 1
        end
    end
    return given, #batches == BATCHES_READ
end

-- What the record has to hear of.
-- -> {id, kind, ordinals, visitor ids, …}, whether there are more
local function history_after(keys, after, most)
    local said, count = {}, 0
    local kept = call('XRANGE', keys[HISTORY], '(' .. after, '+', 'COUNT', HISTORY_READ)
    for _, entry in ipairs(kept) do
        if count >= most then return said, true end
        local fields = entry[2]
        said[#said + 1], said[#said + 2] = entry[1], fields[2]
        said[#said + 1], said[#said + 2] = fields[4], fields[6]
        local _, spaces = string.gsub(fields[4], ' ', '')
        count = count + spaces + 1
    end
    return said, #kept == HISTORY_READ
end

-- The first of these ordinals that has not departed; one beyond them if all have.
local function first_present(keys, from, to)
    local at = call('BITPOS', keys[DEPARTED], 0, text(from), text(to), 'BIT')
    if at >= from then return at end
    -- Redis sees no zeros beyond the last byte.
    return math.min(math.max(from, call('STRLEN', keys[DEPARTED]) * 8), to + 1)
end

-- What the controller has to hear, and who comes next after the cursor that it knows; changes nothing.
-- args: cursor, how many, at how many tickets to look; and for the record: how much it takes in now (0: no record is asked for), the
--   last ordinal that it knows, the last one that it wants to (0: all), and what it has of the history (nothing: not asked)
--   -> epoch, highest, cursor after, people waiting, {ordinal, visitor id, …}, {ordinal, claim, …}, how many were drawn,
--      arrivals, history, 1 if the record lags behind, who is absent for now, and {this process, granted, how many of the
--      tickets are recalled}. Nobody comes next while the record lags, so that all that decides is in it.
local function upcoming(keys, args)
    if missing(keys) then return NO_LINE end
    local cursor, wanted, reach = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
    local most, recorded, till, after = tonumber(args[4]), tonumber(args[5]), tonumber(args[6]), args[7]
    local highest, drawn = number(keys, 'highest'), number(keys, 'drawn')
    local arrivals, history, lags = {}, {}, false
    if most > 0 then
        arrivals, lags = arrivals_after(keys, recorded, till > 0 and till or highest, most)
        -- What tickets did that the record does not know yet comes after them.
        if not lags and after ~= '' then history, lags = history_after(keys, after, most) end
    end
    if lags then wanted = 0 end
    -- Of those who were shuffled, the ones behind the cursor are in departed, too.
    local from = cursor < drawn and 0 or cursor
    -- A cursor of a later epoch may be beyond all that this process knows.
    local waiting = call('ZCARD', keys[RECALLED])
    if highest > from then
        waiting = waiting + highest - from - call('BITCOUNT', keys[DEPARTED], text(from + 1), text(highest), 'BIT')
    end
    local tickets, recalled = {}, {}
    if wanted > 0 then
        recalled = call('ZRANGE', keys[RECALLED], 0, wanted - 1, 'WITHSCORES')
        for i = 1, #recalled, 2 do
            tickets[#tickets + 1] = text(ordinal_at(keys, tonumber(recalled[i + 1]), drawn))
            tickets[#tickets + 1] = visitor_in(recalled[i])
        end
    end
    local looked = 0
    while #tickets < wanted * 2 and cursor < highest and looked < reach do
        looked, cursor = looked + 1, cursor + 1
        -- A run of departed tickets is passed in one step, but for shuffled ones, which can be anywhere.
        if cursor > drawn then cursor = first_present(keys, cursor, highest) end
        if cursor > highest then
            cursor = highest
            break
        end
        local ordinal = ordinal_at(keys, cursor, drawn)
        if cursor > drawn or call('GETBIT', keys[DEPARTED], text(ordinal)) == 0 then
            -- Nobody can prove to be an ordinal without a visitor; whoever can later is recalled then.
            local visitor = visitor_of(keys, ordinal)
            if visitor then
                tickets[#tickets + 1] = text(ordinal)
                tickets[#tickets + 1] = visitor
            end
        end
    end
    return {
        number(keys, 'epoch'), highest, cursor, waiting, tickets, call('HGETALL', keys[CLAIMS]), drawn, arrivals, history,
        lags and 1 or 0, call('ZCARD', keys[ABSENT]), { home(), number(keys, 'granted'), #recalled / 2 },
    }
end

-- Which process this is, and what it remembers of a line, be it lost or not: an epoch that begins goes beyond that.
-- -> this process, epoch, highest granted
local function whose(keys)
    return { home(), number(keys, 'epoch'), math.max(number(keys, 'granted'), number(keys, 'highest')) }
end

-- The database was restored from a backup: Redis knows turns that the database does not. The line is begun anew from what the
-- database and the tickets say.
local function forget_line(keys)
    for at = LINE, RETURNED do call('UNLINK', keys[at]) end
    return 1
end

-- The sale opens with a draw: whoever has joined by now is in it. May be repeated.
-- -> the highest ordinal of the draw
local function close_pool(keys)
    if missing(keys) then return NO_LINE end
    call('HSETNX', keys[LINE], 'pool', text(number(keys, 'highest')))
    return number(keys, 'pool')
end

-- Lays down a part of the table of a draw, which counts once a publication says so. It has one value, so it may be repeated.
-- args: where it begins, the bytes
local function lay_down(keys, args)
    return call('SETRANGE', keys[DRAWN], args[1], args[2])
end

-- Notes where the cursor is, no more often than it matters.
local function note_passed(keys, cursor)
    local now = now_ms()
    local last = call('XREVRANGE', keys[PASSED], '+', '-', 'COUNT', 1)[1]
    local at, since = 0, 1 / 0
    if last then at, since = tonumber(string.match(last[1], '^%d+')), now - tonumber(last[2][2]) end
    if cursor <= at or since < number(keys, 'recall_ms') / PASSED_PARTS then return end
    call('XADD', keys[PASSED], 'MAXLEN', '~', PASSED_PARTS * 2, text(cursor) .. '-0', 't', text(now))
end

-- Everybody in (cursor, above] is departed.
local function forget(keys, cursor, above)
    if above <= cursor then return end
    local function fill(to, byte, bit)
        local whole = math.floor((to + 1) / 8)
        if whole > 0 then call('SETRANGE', keys[DEPARTED], 0, string.rep(byte, whole)) end
        for ordinal = whole * 8, to do call('SETBIT', keys[DEPARTED], text(ordinal), bit) end
    end
    fill(above, '\255', 1)
    fill(cursor, '\0', 0)
end

local NO_DRAW = { err = 'NODRAW the table of the draw is not laid down' }
local LATE = { err = 'LATE a later publication was made' }

-- What the controller has decided and committed. Publications are numbered; one that comes late, or twice, is refused.
-- args: publication, epoch, if it begins the epoch the process that is to have it (nothing otherwise), cursor, highest granted, recall window in ms, card, for how
--       many ms more the line is kept (0: for as long as it is published), the ordinal that those of this epoch are above, how many tickets a
--       draw has shuffled, what the record has of the history, how many claims were heard, their ordinals and words, then
--       ordinals and what became of their turns
local function publish(keys, args)
    local publication, epoch = tonumber(args[1]), tonumber(args[2])
    local known_epoch = number(keys, 'epoch')
    if epoch < known_epoch or (epoch == known_epoch and publication <= number(keys, 'publication')) then return LATE end
    local moved = false
    if missing(keys) or epoch > known_epoch then
        if args[3] ~= home() then return NO_LINE end
        -- A database that was put back to before the draw makes another one.
        if tonumber(args[10]) == 0 then call('UNLINK', keys[DRAWN]) end
        if call('STRLEN', keys[DRAWN]) ~= tonumber(args[10]) * 8 then return NO_DRAW end
        -- The cursor passes everybody who holds a ticket of an earlier epoch; each of them shows it now, and is recalled.
        -- Before a draw it passes nobody: there they are departed until they show it.
        -- With a Redis that has kept everything, too: who waits is who shows the ticket, as in the record.
        call('UNLINK', keys[ARRIVALS], keys[DEPARTED], keys[HISTORY], keys[SHOWN], keys[RECALLED], keys[ABSENT], keys[RETURNED],
            keys[PASSED])
        -- Redis may have turns that a restored database does not know: no checkout accepts their tokens.
        if epoch - known_epoch >= RESTORED_EPOCHS then call('UNLINK', keys[TURNS], keys[CLAIMS]) end
        call('HDEL', keys[LINE], 'pool')
        call('HSET', keys[LINE], 'home', home(), 'highest', args[9], 'above', args[9], 'drawn', args[10], 'rev', 0)
        forget(keys, tonumber(args[4]), tonumber(args[9]))
        moved = true
    end
    local before, drawn = number(keys, 'cursor'), tonumber(args[10])
    if drawn ~= number(keys, 'drawn') then
        if call('STRLEN', keys[DRAWN]) ~= drawn * 8 then return NO_DRAW end
        call('HSET', keys[LINE], 'drawn', args[10])
        -- Nobody has been passed yet, and these are ordinals.
        call('UNLINK', keys[RETURNED])
        say(keys, { kind = 'drawn', pool = drawn })
    end
    local cursor = math.max(tonumber(args[4]), before)
    if cursor < drawn then
        for place = before + 1, cursor do call('SETBIT', keys[DEPARTED], text(ordinal_at(keys, place, drawn)), 1) end
    end
    moved = moved or cursor ~= number(keys, 'cursor') or number(keys, 'highest') ~= number(keys, 'told')
    local highest = math.max(number(keys, 'highest'), cursor)
    call('HSET', keys[LINE], 'publication', args[1], 'epoch', args[2], 'cursor', text(cursor), 'highest', text(highest),
        'told', text(highest), 'granted', args[5], 'recall_ms', args[6])

    local heard_end = 12 + 2 * tonumber(args[12])
    for i = 13, heard_end, 2 do
        if call('HGET', keys[CLAIMS], args[i]) == args[i + 1] then call('HDEL', keys[CLAIMS], args[i]) end
    end

    local turns, called_off = {}, {}
    for i = heard_end + 1, #args, 2 do
        local id, turn = args[i], args[i + 1]
        -- Whoever has left stays so; what becomes of the token then concerns nobody. One that comes after that goes back.
        local known = call('HGET', keys[TURNS], id)
        if known == 'left' and is_live(turn) then call('HSET', keys[CLAIMS], id, 'left') end
        if known ~= 'left' and known ~= 'removed' and known ~= 'limit' then
            call('HSET', keys[TURNS], id, turn)
            turns[#turns + 1] = { tonumber(id), turn }
        end
        if turn ~= 'lapsed' then call('ZREM', keys[ABSENT], id) end
        local number_now = number_of(keys, tonumber(id), drawn)
        local place = text(number_now)
        call('ZREMRANGEBYSCORE', keys[RETURNED], place, place)
        if call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0 and not is_live(turn) then
            called_off[#called_off + 1] = tonumber(id)
        elseif number_now > cursor and turn ~= 'lapsed' and call('SETBIT', keys[DEPARTED], id, 1) == 0 then
            -- Taken out of the line, or served before others: nobody waits behind it any more.
            called_off[#called_off + 1] = tonumber(id)
        end
    end
    if #called_off > 0 then say_and_keep(keys, 'departed', called_off) end
    if moved or #turns > 0 then
        local change = { kind = 'moved', cursor = cursor, highest = highest }
        if #turns > 0 then change.turns = turns end
        say(keys, change)
        note_passed(keys, cursor)
        -- The batch that the next ordinal is in stays. Those who were shuffled can be anywhere.
        local batch = call('XREVRANGE', keys[ARRIVALS], text(cursor + 1) .. '-0', '-', 'COUNT', 1)[1]
        if batch and cursor >= drawn then call('XTRIM', keys[ARRIVALS], 'MINID', batch[1]) end
    end
    call('XTRIM', keys[HISTORY], 'MINID', args[11])

    -- Who came back after the controller had looked was passed as if departed. It is served next.
    local recalled, again = {}, {}
    local passed = call('ZRANGE', keys[RETURNED], '-inf', text(cursor), 'BYSCORE', 'WITHSCORES')
    for i = 1, #passed, 2 do
        local ordinal = ordinal_at(keys, tonumber(passed[i + 1]), drawn)
        local turn = call('HGET', keys[TURNS], text(ordinal))
        if not turn or turn == 'lapsed' then
            call('HDEL', keys[TURNS], text(ordinal))
            call('ZADD', keys[RECALLED], passed[i + 1], passed[i])
            recalled[#recalled + 1], again[#again + 1] = ordinal, visitor_in(passed[i])
        end
    end
    if #passed > 0 then call('ZREMRANGEBYSCORE', keys[RETURNED], '-inf', text(cursor)) end
    if #recalled > 0 then say_and_keep(keys, 'recalled', recalled, again) end

    if call('HGET', keys[LINE], 'card') ~= args[7] then
        call('HSET', keys[LINE], 'card', args[7])
        say(keys, { kind = 'card', card = args[7] })
    end
    if args[8] ~= '0' then
        call('HSET', keys[LINE], 'kept_until', text(now_ms() + tonumber(args[8])))
        for at = LINE, RETURNED do call('PEXPIRE', keys[at], args[8]) end
    elseif call('PTTL', keys[LINE]) < UNHEARD_KEPT_MS - RENEWED_EVERY_MS then
        for at = LINE, RETURNED do call('PEXPIRE', keys[at], UNHEARD_KEPT_MS) end
    end
    return 1
end

-- Turns of earlier epochs that are over, as the controller publishes them again in bulk. A call that arrives after a later
-- publication is rejected: the ticket may have another turn by then.
-- args: epoch, the publication that this belongs to, outcome of the turns, ordinals of four bytes each -> how many this has changed
local function retell(keys, args)
    if missing(keys) or number(keys, 'epoch') ~= tonumber(args[1]) then return NO_LINE end
    if tonumber(args[2]) < number(keys, 'publication') then return LATE end
    local word, packed, drawn = args[3], args[4], number(keys, 'drawn')
    local changed, turns, called_off = 0, {}, {}
    for at = 1, #packed, 4 do
        local ordinal = struct.unpack('>I4', packed, at)
        local id = text(ordinal)
        local known = call('HGET', keys[TURNS], id)
        -- To a ticket that waits again a turn that lapsed is no news.
        local stays = known == word or known == 'left' or known == 'removed' or known == 'limit'
        local is_news = not stays and (known or word ~= 'lapsed')
        if is_news then
            call('HSET', keys[TURNS], id, word)
            changed = changed + 1
            local place = text(number_of(keys, ordinal, drawn))
            local waited = call('ZREMRANGEBYSCORE', keys[RECALLED], place, place) > 0
            if waited then called_off[#called_off + 1] = ordinal end
            if waited or known then turns[#turns + 1] = { ordinal, word } end
        end
    end
    if #called_off > 0 then say_and_keep(keys, 'departed', called_off) end
    if #turns > 0 then
        say(keys, { kind = 'moved', cursor = number(keys, 'cursor'), highest = number(keys, 'highest'), turns = turns })
    end
    return changed
end

-- Of a closed line no key outlives the others that is made after the last publication, when pages close.
local function in_its_time(step)
    return function(keys, args)
        local answer = step(keys, args)
        local kept_until = call('HGET', keys[LINE], 'kept_until')
        if kept_until then
            for at = ARRIVALS, RETURNED do call('PEXPIREAT', keys[at], kept_until, 'NX') end
        end
        return answer
    end
end

-- -> epoch, rev
local function revision(keys)
    if missing(keys) then return NO_LINE end
    return { number(keys, 'epoch'), number(keys, 'rev') }
end

-- Everything that a node needs to show places, at one moment.
-- -> epoch, rev, cursor, highest, card, departed bitmap, {recalled numbers}, how many were drawn
local function snapshot(keys)
    if missing(keys) then return NO_LINE end
    local numbers = {}
    local recalled = call('ZRANGE', keys[RECALLED], 0, -1, 'WITHSCORES')
    for i = 2, #recalled, 2 do numbers[#numbers + 1] = recalled[i] end
    return {
        number(keys, 'epoch'), number(keys, 'rev'), number(keys, 'cursor'), number(keys, 'highest'),
        call('HGET', keys[LINE], 'card') or '', call('GET', keys[DEPARTED]) or '', numbers,
        number(keys, 'drawn'),
    }
end

-- Which number each of those has who were shuffled, by ordinal, four bytes each; nothing before the draw.
local function numbers(keys)
    if missing(keys) then return NO_LINE end
    local drawn = number(keys, 'drawn')
    if drawn == 0 then return '' end
    return call('GETRANGE', keys[DRAWN], 0, drawn * 4 - 1)
end

redis.register_function('fairline_v3_join', in_its_time(join))
redis.register_function('fairline_v3_name', in_its_time(name))
redis.register_function('fairline_v3_resume', in_its_time(resume))
redis.register_function('fairline_v3_absent', in_its_time(absent))
redis.register_function('fairline_v3_sweep', in_its_time(sweep))
redis.register_function('fairline_v3_present', in_its_time(present))
redis.register_function('fairline_v3_roll_call', in_its_time(roll_call))
redis.register_function('fairline_v3_leave', in_its_time(leave))
redis.register_function('fairline_v3_claim', in_its_time(claim))
redis.register_function{ function_name = 'fairline_v3_find', callback = find, flags = { 'no-writes' } }
redis.register_function{ function_name = 'fairline_v3_upcoming', callback = upcoming, flags = { 'no-writes' } }
redis.register_function('fairline_v3_forget_line', forget_line)
redis.register_function('fairline_v3_close_pool', close_pool)
redis.register_function('fairline_v3_lay_down', lay_down)
redis.register_function('fairline_v3_publish', publish)
redis.register_function('fairline_v3_retell', in_its_time(retell))
redis.register_function{ function_name = 'fairline_v3_whose', callback = whose, flags = { 'no-writes' } }
redis.register_function{ function_name = 'fairline_v3_revision', callback = revision, flags = { 'no-writes' } }
redis.register_function{ function_name = 'fairline_v3_numbers', callback = numbers, flags = { 'no-writes' } }
redis.register_function{ function_name = 'fairline_v3_snapshot', callback = snapshot, flags = { 'no-writes' } }
