-- Appends events to the stream of a sale, those that it has not yet. Entry ids are the events' numbers, so that whoever
-- says the same again, also at the same time, changes nothing.
--
-- KEYS[1]: the stream. ARGV: the number of the first event; 1 if there are none before it; events to keep, about;
-- seconds to keep the stream for; the events.
--
-- Answers the number of the last event in the stream. Where that is below the first one's predecessor, events are missing,
-- since Redis has lost them, and nothing was appended.
local top = 0
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if last[1] then
    top = tonumber(string.match(last[1][1], '^%d+'))
end
local first = tonumber(ARGV[1])
if top + 1 < first and ARGV[2] ~= '1' then
    return top
end
for at = 5, #ARGV do
    local number = first + at - 5
    if number > top then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], string.format('%d-0', number), 'event', ARGV[at])
        top = number
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return top
