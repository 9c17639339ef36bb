-- What nodes read, and the registration of all functions.

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

local function if_published(step)
    return function(keys, args)
        if is_missing(keys) then return NO_LINE end
        return step(keys, args)
    end
end

-- Keys that a call makes after the last publication of a closed line expire with the line.
local function expiring(step)
    return function(keys, args)
        local answer = step(keys, args)
        local kept_until = call('HGET', keys[LINE], 'kept_until')
        if kept_until then
            for at = ARRIVALS, RETURNED do call('PEXPIREAT', keys[at], kept_until, 'NX') end
        end
        return answer
    end
end

local function register(name, step, flags)
    local names = ARGUMENTS[name]
    local function callback(keys, values) return step(keys, by_name(names, values)) end
    redis.register_function{ function_name = 'fairline_v4_' .. name, callback = callback, flags = flags or {} }
end

local READS = { 'no-writes' }
register('join', expiring(if_published(join)))
register('bind_account', expiring(if_published(bind_account)))
register('resume', expiring(if_published(resume)))
register('leave', expiring(if_published(leave)))
register('claim', expiring(if_published(claim)))
register('find', if_published(find), READS)
register('absent', expiring(if_published(absent)))
register('sweep', expiring(if_published(sweep)))
register('present', expiring(if_published(present)))
register('roll_call', expiring(if_published(roll_call)))
register('upcoming', if_published(upcoming), READS)
register('home', home, READS)
register('delete_line', delete_line)
register('close_pool', if_published(close_pool))
register('store_draw', store_draw)
register('publish', publish)
register('republish_turns', expiring(if_published(republish_turns)))
register('revision', if_published(revision), READS)
register('snapshot', if_published(snapshot), READS)
register('numbers', if_published(numbers), READS)
