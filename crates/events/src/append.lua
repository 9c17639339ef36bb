-- Appends those events of a sale that its stream lacks. Entry ids are the events' numbers, so that
-- a repeated or concurrent call changes nothing.
--
-- KEYS[1]: the stream. ARGV: the number of the first event; 1 if there are none before it; the
-- approximate number of events to keep; the stream's lifetime in seconds; the number of groups to
-- wait for, and their names; the events.
--
-- Returns the number of the last event in the stream. If it is below the predecessor of the first
-- event, Redis has lost events, and nothing was appended. Nothing is appended either if it would
-- trim an event that one of the groups has not acknowledged.
local top = 0
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
    top = tonumber(string.match(last[1][1], '^%d+'))
end
local first = tonumber(ARGV[1])
if top + 1 < first and ARGV[2] ~= '1' then
    return top
end

local groups = tonumber(ARGV[5])
local events = 5 + groups

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

local new_top = first + #ARGV - events - 1
local kept = tonumber(ARGV[3])
-- If all events fit none is trimmed, which is cheap to check.
if new_top > top and top > 0 and redis.call('XLEN', KEYS[1]) + new_top - top > kept then
    for at = 6, events do
        if new_top - acknowledged(ARGV[at]) > kept then
            return top
        end
    end
end

for at = events + 1, #ARGV do
    local number = first + at - events - 1
    if number > top then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], string.format('%d-0', number), 'event', ARGV[at])
        top = number
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return top
