-- Reads of nodes, and the registration of all functions.

local function revision(keys)
    return reply(REPLIES.revision, { epoch = number(keys, 'epoch'), rev = number(keys, 'rev') })
end

-- All that a node needs to show places, at one moment.
local function snapshot(keys)
    local numbers = {}
    local recalled = call('ZRANGE', keys[RECALLED], 0, -1, 'WITHSCORES')
    for i = 2, #recalled, 2 do numbers[#numbers + 1] = recalled[i] end
    return reply(REPLIES.snapshot, {
        epoch = number(keys, 'epoch'),
        rev = number(keys, 'rev'),
        cursor = number(keys, 'cursor'),
        highest = number(keys, 'highest'),
        card = call('HGET', keys[LINE], 'card') or '',
        departed = call('GET', keys[DEPARTED]) or '',
        recalled = numbers,
        drawn = number(keys, 'drawn'),
    })
end

-- The number of each shuffled ticket by ordinal, four bytes each; empty before the draw.
local function numbers(keys)
    local drawn = number(keys, 'drawn')
    if drawn == 0 then return '' end
    return call('GETRANGE', keys[DRAWN], 0, drawn * 4 - 1)
end

-- A step on a line that is published.
local function if_published(step)
    return function(keys, args)
        local home, kept_until = unpack(call('HMGET', keys[LINE], 'home', 'kept_until'))
        if is_missing(home) then return NO_LINE end
        return step(keys, args, kept_until)
    end
end

-- Keys that a step makes after the last publication of a closed line expire with the line.
local function if_published_and_expiring(step)
    return if_published(function(keys, args, kept_until)
        local answer = step(keys, args)
        if kept_until then
            for at = ARRIVALS, RETURNED do call('PEXPIREAT', keys[at], kept_until, 'NX') end
        end
        return answer
    end)
end

local function register(name, step, flags)
    local names = ARGUMENTS[name]
    local function callback(keys, values) return step(keys, by_name(names, values)) end
    redis.register_function{ function_name = 'fairline_v6_' .. name, callback = callback, flags = flags or {} }
end

local READS = { 'no-writes' }
register('join', if_published_and_expiring(join))
register('bind_account', if_published_and_expiring(bind_account))
register('resume', if_published_and_expiring(resume))
register('leave', if_published_and_expiring(leave))
register('claim', if_published_and_expiring(claim))
register('find', if_published(find), READS)
register('absent', if_published_and_expiring(absent))
register('sweep', if_published_and_expiring(sweep))
register('present', if_published_and_expiring(present))
register('roll_call', if_published_and_expiring(roll_call))
register('upcoming', if_published(upcoming), READS)
register('home', home, READS)
register('delete_line', delete_line)
register('close_pool', if_published(close_pool))
register('store_draw', store_draw)
register('publish', publish)
register('republish_turns', if_published_and_expiring(republish_turns))
register('revision', if_published(revision), READS)
register('snapshot', if_published(snapshot), READS)
register('numbers', if_published(numbers), READS)
