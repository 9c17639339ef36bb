-- Appends those events of a sale that its stream lacks. Entry ids are the events' numbers, so that
-- a repeated or concurrent call changes nothing.
--
-- KEYS[1]: the stream. ARGV: names and values in turn: `first`, the number of the first event;
-- `is_first_kept`, 1 if there are none before it; `kept`, the approximate number of events to keep;
-- `lifetime_s` of the stream; each of the `groups` to wait for; each of the `events`.
--
-- Returns the number of the last event in the stream. If it is below the predecessor of the first
-- event, Redis has lost events, and nothing was appended. Nothing is appended either if it would
-- trim an event that one of the groups has not acknowledged.
local NUMBERS = { first = true, is_first_kept = true, kept = true, lifetime_s = true }
local function unknown(_, name) error('no argument is named ' .. tostring(name)) end
local lists, numbers = { groups = {}, events = {} }, {}
for at = 1, #ARGV, 2 do
    local name, value = ARGV[at], ARGV[at + 1]
    if lists[name] then
        table.insert(lists[name], value)
    elseif NUMBERS[name] then
        numbers[name] = tonumber(value)
    else
        unknown(nil, name)
    end
end
local args = setmetatable(numbers, { __index = setmetatable(lists, { __index = unknown }) })

local top = 0
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
    top = tonumber(string.match(last[1][1], '^%d+'))
end
if top + 1 < args.first and args.is_first_kept == 0 then
    return top
end

-- The last event up to which a group has acknowledged all.
local function acknowledged(group)
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
        local about = {}
        for at = 1, #info, 2 do
            about[info[at]] = info[at + 1]
        end
        if about['name'] == group then
            local pending = redis.call('XPENDING', KEYS[1], group)
            if pending[1] > 0 then
                return tonumber(string.match(pending[2], '^%d+')) - 1
            end
            return tonumber(string.match(about['last-delivered-id'], '^%d+'))
        end
    end
    -- The group does not exist yet.
    return 0
end

local new_top = args.first + #args.events - 1
-- If all events fit none is trimmed, which is cheap to check.
if new_top > top and top > 0 and redis.call('XLEN', KEYS[1]) + new_top - top > args.kept then
    for _, group in ipairs(args.groups) do
        if new_top - acknowledged(group) > args.kept then
            return top
        end
    end
end

for at, event in ipairs(args.events) do
    local number = args.first + at - 1
    if number > top then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', args.kept, string.format('%d-0', number), 'event', event)
        top = number
    end
end
redis.call('EXPIRE', KEYS[1], args.lifetime_s)
return top
