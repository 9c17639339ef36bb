#!lua name=fairline_v6

-- The atomic steps of the line. `port.rs` joins the files of this folder to one library.
--
-- The version in the names grows with every change of keys, arguments or replies, so that services
-- of two versions run side by side during a roll-out.
--
-- Keys, all in one hash slot, always in this order:
--   1 line      hash    epoch, rev, home, above, cursor, highest, announced, granted, publication,
--                       recall_ms, card, pool, drawn, kept_until
--   2 arrivals  stream  one entry a batch of joins: id = its first ordinal, field v = visitor ids,
--                       16 bytes each
--   3 departed  bitmap  by ordinal: left, or silent past the grace period
--   4 recalled  zset    behind the cursor and waiting again: member = visitor id, then the number;
--                       score = number
--   5 absent    zset    tickets that wait, with a closed page: member = ordinal, score = end of the
--                       grace period in ms
--   6 turns     hash    ordinal -> outcome of its turn: a word, or a JSON object with the token
--   7 claims    hash    ordinal -> "claimed" or "left", until the controller has handled it
--   8 passed    stream  positions of the cursor over time: id = cursor, field t = time in ms
--   9 accounts  hash    digest of an account -> its ordinal, ":" and its visitor id (16 bytes)
--  10 present   zset    the nodes that are up: member = node, score = deadline in ms. Each has a
--                       bitmap of its connected ordinals under this key, ":" and the node's name
--  11 history   stream  changes for the record: id = epoch-rev of the change, fields k = its kind,
--                       o = ordinals, v = visitor ids of those who presented their tickets
--  12 drawn     string  of a draw: numbers by ordinal, then ordinals by number, four bytes each
--  13 shown     hash    waiting tickets of earlier epochs beyond the cursor: ordinal -> visitor id
--  14 returned  zset    came back before the turn, after the grace period: as `recalled`
--  15 batches   string  the reply to each batch of joins, under this key, ":" and the batch's id
--  16 changes   channel changes in order, for every node: no key, but of the same slot
--
-- A line is served by *number*. A number is the ticket's ordinal, unless a draw has shuffled it:
-- the field `drawn` says how many are shuffled, the key `drawn` has their numbers. The cursor, and
-- the scores of recalled, returned and passed, are numbers; everything else goes by ordinal.
--
-- Every function that changes what a node shows raises rev by one and publishes the change in the
-- same step. So a node that has received every rev is up to date, and a gap shows a lost message.
--
-- A line lives in one process, since a Redis that restarted or took over may lack the last moments.
-- For any other process the line is lost, until the controller begins a new epoch. Its ordinals lie
-- above all that can have been given: Redis gives none beyond those that Postgres has granted.

local LINE, ARRIVALS, DEPARTED, RECALLED, ABSENT, TURNS = 1, 2, 3, 4, 5, 6
local CLAIMS, PASSED, ACCOUNTS, PRESENT, HISTORY, DRAWN, SHOWN = 7, 8, 9, 10, 11, 12, 13
local RETURNED, BATCHES, CHANGES = 14, 15, 16

-- Resolution of the time at which the cursor passed a ticket: parts of the recall window.
local PASSED_PARTS = 500
-- How long the reply to a batch of joins is kept; a caller repeats within seconds.
local REPLY_KEPT_MS = 60000
-- Tickets in one step of a roll call, so that none blocks Redis for long.
local ROLL_CALL_STEP = 2000
-- Absent tickets that one step compares with the shoppers of a node: those with the last deadlines.
local ABSENT_COMPARED = 5000
-- An epoch that is higher by this much began after the database was restored.
local RESTORED_EPOCHS = 1000
-- How long a line is kept that no controller publishes: its sale or its database was deleted.
local ABANDONED_KEPT_MS, RENEWED_EVERY_MS = 30 * 24 * 3600 * 1000, 3600 * 1000
-- In the mark of a roll call: beyond it are ordinals, before it the numbers of the recalled.
local BEYOND_CURSOR = 2 ^ 40
-- Batches of joins, and entries of history, that are read in one step.
local BATCHES_READ, HISTORY_READ = 4000, 1000

local NO_LINE = { err = 'NOLINE the line of this sale is not published' }
local NONE_GRANTED = { err = 'NOORDINAL the controller has granted no more ordinals' }
local NO_DRAW = { err = 'NODRAW the table of the draw is not stored' }
local LATE = { err = 'LATE a later publication was made' }

local function call(...) return redis.call(...) end

local function number(keys, field)
    return tonumber(call('HGET', keys[LINE], field) or '0')
end

-- Several fields of the line at once, in this order, as numbers.
local function numbers_of(keys, ...)
    local fields = call('HMGET', keys[LINE], ...)
    for nth, field in ipairs(fields) do fields[nth] = tonumber(field or '0') end
    return unpack(fields)
end

local function text(n) return string.format('%.0f', n) end

local function now_ms()
    local time = call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A name that is in no list is a mistake here, not nil.
local STRICT = { __index = function(_, name) error('no argument is named ' .. tostring(name)) end }

-- Reads a list that begins at `at` with its length: of values, or of records with several fields.
local function read_list(names, values, at)
    local list, width, count = {}, #names - 1, tonumber(values[at])
    for nth = 1, count do
        local before = at + (nth - 1) * width
        if width == 1 then
            list[nth] = values[before + 1]
        else
            local record = setmetatable({}, STRICT)
            for field = 1, width do record[names[field + 1]] = values[before + field] end
            list[nth] = record
        end
    end
    return list, at + count * width + 1
end

-- The arguments of a call by their names, which names.lua lists.
local function by_name(names, values)
    local args, at = setmetatable({}, STRICT), 1
    for _, name in ipairs(names) do
        if type(name) == 'string' then
            args[name], at = values[at], at + 1
        else
            args[name[1]], at = read_list(name, values, at)
        end
    end
    return args
end

-- Records as one list of their values. Their names would take more bytes than the values.
local function flat(names, records)
    local values = {}
    for _, record in ipairs(records) do
        for field = 2, #names do
            local value = record[names[field]]
            if value == nil then error('a record of the reply lacks ' .. names[field]) end
            values[#values + 1] = value
        end
    end
    return values
end

-- A reply with named fields, which names.lua lists: name, value, name, value, …
local function reply(names, values)
    local fields = {}
    for nth, listed in ipairs(names) do
        local has_records = type(listed) == 'table'
        local name = has_records and listed[1] or listed
        local value = values[name]
        if value == nil then error('the reply lacks ' .. name) end
        fields[nth * 2 - 1], fields[nth * 2] = name, has_records and flat(listed, value) or value
    end
    return fields
end

local function field_of(fields, name)
    for at = 1, #fields, 2 do
        if fields[at] == name then return fields[at + 1] end
    end
end

-- The run id of this process, which never changes while this library is loaded.
local run_id
local function this_process()
    if not run_id then run_id = string.match(call('INFO', 'server'), 'run_id:(%x+)') end
    return run_id
end

-- A line exists once the controller has begun its epoch in this process. Before, no ordinal can be
-- given, since Redis alone can't know which ones were given before.
local function is_missing(home) return home ~= this_process() end

-- The n-th entry, from 1 on, of the table of the draw.
local function draw_entry(keys, n)
    return (struct.unpack('>I4', call('GETRANGE', keys[DRAWN], (n - 1) * 4, n * 4 - 1)))
end

-- drawn: how many tickets the draw has shuffled
local function number_of(keys, ordinal, drawn)
    if ordinal > drawn then return ordinal end
    return draw_entry(keys, ordinal)
end

local function ordinal_at(keys, number, drawn)
    if number > drawn then return number end
    return draw_entry(keys, drawn + number)
end

local function publish_change(keys, change)
    local rev = call('HINCRBY', keys[LINE], 'rev', 1)
    change.epoch, change.rev = number(keys, 'epoch'), rev
    call('SPUBLISH', keys[CHANGES], cjson.encode(change))
    return text(change.epoch) .. '-' .. text(rev)
end

-- Publishes a change of presence, and keeps it until the controller has recorded it. The history is
-- bounded: between two sweeps of the controller a ticket can come and go only once.
local function publish_presence(keys, kind, ordinals, visitors)
    local id = publish_change(keys, { kind = kind, ordinals = ordinals })
    call('XADD', keys[HISTORY], id, 'k', kind, 'o', table.concat(ordinals, ' '), 'v', table.concat(visitors or {}))
end

-- The visitor id of an ordinal beyond the cursor, if any shopper can prove to hold it.
local function visitor_of(keys, ordinal)
    local batch = call('XREVRANGE', keys[ARRIVALS], text(ordinal) .. '-0', '-', 'COUNT', 1)[1]
    if batch then
        local at = (ordinal - tonumber(string.match(batch[1], '^%d+'))) * 16
        local visitors = batch[2][2]
        if at + 16 <= #visitors then return string.sub(visitors, at + 1, at + 16) end
    end
    return call('HGET', keys[SHOWN], text(ordinal)) or nil
end

-- A visitor may have two waiting tickets: a member of recalled or returned needs the number, too.
local function member(visitor, place) return visitor .. place end
local function visitor_in(name) return string.sub(name, 1, 16) end

local function is_over(turn)
    return turn == 'left' or turn == 'removed' or turn == 'limit' or turn == 'bought' or turn == 'expired'
end

-- These outcomes stay, whatever the controller publishes later.
local function is_final(turn) return turn == 'left' or turn == 'removed' or turn == 'limit' end

local function is_live(turn) return string.sub(turn, 1, 1) == '{' end

local function depart(keys, ordinal)
    local id, place = text(ordinal), number_of(keys, ordinal, number(keys, 'drawn'))
    if place > number(keys, 'cursor') then call('SETBIT', keys[DEPARTED], id, 1) end
    call('ZREMRANGEBYSCORE', keys[RECALLED], text(place), text(place))
    call('ZREMRANGEBYSCORE', keys[RETURNED], text(place), text(place))
    call('ZREM', keys[ABSENT], id)
end

