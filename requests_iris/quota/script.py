"""The script of the Redis store, which does the same as :mod:`requests_iris.quota.usage`.

A single script, because Redis runs a script as an atomic step. All operations look at the claims
in the same way, so the operation is the first argument.

Each claim has four keys: the slots of the window and of the pool as sorted sets (the score is the
stamp), the facts as a hash, and the set of all claims of the owner.
"""

SCRIPT = """
local operation, slot = ARGV[1], ARGV[2]
local longest, draw = tonumber(ARGV[4]), ARGV[5] == '1'
local grace, horizon = tonumber(ARGV[6]), tonumber(ARGV[7])
local replace = ARGV[8] == '1'
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6 + tonumber(ARGV[3])

-- Lua itself would shorten a number to 14 digits, which is a tenth of a millisecond
local function text(number) return string.format('%.6f', number) end

local function keep(key, seconds)
    local milliseconds = math.ceil(seconds * 1000)
    if redis.call('PTTL', key) < milliseconds then redis.call('PEXPIRE', key, milliseconds) end
end

local function current(key, lasts)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - lasts))
    local wrong = redis.call('ZRANGEBYSCORE', key, '(' .. text(now + grace + horizon), '+inf')
    for _, member in ipairs(wrong) do redis.call('ZADD', key, text(now), member) end
    return redis.call('ZCARD', key)
end

-- the end of the slot that must be over before the window has a free slot, or nil
local function decisive_stamp(claim)
    local over = claim.used - claim.limit
    if over < 0 then return nil end
    return tonumber(redis.call('ZRANGE', claim.slots, over, over, 'WITHSCORES')[2])
end

local function found(index)
    local claim, first = {}, 8 + (index - 1) * 10
    claim.slots, claim.pool = KEYS[index * 4 - 3], KEYS[index * 4 - 2]
    claim.facts, claim.index = KEYS[index * 4 - 1], KEYS[index * 4]
    claim.limit, claim.window = tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
    claim.size, claim.returns = tonumber(ARGV[first + 3]), tonumber(ARGV[first + 4])
    claim.paced, claim.counted = ARGV[first + 5] == '1', ARGV[first + 6] == '1'
    claim.rule, claim.label, claim.key = ARGV[first + 7], ARGV[first + 8], ARGV[first + 9]
    claim.seconds = tonumber(ARGV[first + 10])
    claim.used, claim.drawn = current(claim.slots, claim.window), current(claim.pool, claim.returns)
    local facts = redis.call('HMGET', claim.facts, 'since', 'until', 'departed')
    local since, ends, departed = tonumber(facts[1]), tonumber(facts[2]), tonumber(facts[3])
    if ends and since > now then
        ends = now + ends - since
        redis.call('HSET', claim.facts, 'since', text(now), 'until', text(ends))
    end
    if ends and ends > now then claim.since, claim.blocked = math.min(since, now), ends end
    if departed then claim.departed = departed <= now + horizon and departed or now end
    return claim
end

local function next_departure(claim)
    local interval = claim.window / claim.limit
    return claim.departed and math.max(now, claim.departed + interval) or now
end

-- the wait, whether the slot comes from the pool, and the departure
local function judge(claim)
    if claim.blocked then return claim.blocked - now, false, now end
    if not claim.counted then return 0, false, now end
    local stamp = decisive_stamp(claim)
    if claim.paced then
        local departs = next_departure(claim)
        if stamp then
            if stamp > now then
                return math.max(0, stamp - grace - now) + claim.window, false, now
            end
            departs = math.max(departs, stamp + claim.window)
        end
        if departs - now > horizon then return departs - now, false, now end
        return 0, false, departs
    end
    if not stamp then return 0, false, now end
    local wait = claim.window - (now - math.min(stamp, now))
    if wait > longest and draw and claim.drawn < claim.size then return 0, true, now end
    return wait, false, now
end

local function left(claim)
    if claim.blocked then return {'0', '0', text(claim.blocked - now)} end
    local wait, stamp = 0, decisive_stamp(claim)
    if stamp then wait = claim.window - (now - math.min(stamp, now)) end
    if claim.paced then wait = math.max(wait, next_departure(claim) - now) end
    return {
        tostring(math.max(0, claim.limit - claim.used)),
        tostring(math.max(0, claim.size - claim.drawn)),
        text(wait),
    }
end

local function remember(claim, seconds)
    redis.call('HSET', claim.facts, 'rule', claim.rule, 'label', claim.label)
    redis.call('SADD', claim.index, claim.key)
    keep(claim.facts, seconds)
    keep(claim.index, seconds)
end

local function take(claim, pooled, departs)
    local key, lasts = claim.slots, claim.window
    if pooled then
        key, lasts = claim.pool, claim.returns
        claim.drawn = claim.drawn + 1
    else
        claim.used = claim.used + 1
    end
    claim.departed = departs
    redis.call('ZADD', key, text(departs + grace), slot)
    if claim.paced then redis.call('HSET', claim.facts, 'departed', text(departs)) end
    keep(key, lasts + grace + horizon)
    remember(claim, lasts + grace + horizon)
end

local function settle(claim)
    for key, lasts in pairs({[claim.slots] = claim.window, [claim.pool] = claim.returns}) do
        if redis.call('ZSCORE', key, slot) then
            redis.call('ZADD', key, text(now), slot)
            keep(key, lasts)
            keep(claim.facts, lasts)
        end
    end
end

local function block(claim)
    local ends = now + claim.seconds
    if replace then
        redis.call('DEL', claim.slots)
    elseif claim.blocked and claim.blocked > ends then
        ends = claim.blocked
    end
    redis.call('HSET', claim.facts, 'since', text(now), 'until', text(ends))
    remember(claim, ends - now)
end

-- the numbers of a Usage in four texts
local function describe(claim)
    local texts = {'', '', '', ''}
    for index, key in ipairs({claim.slots, claim.pool}) do
        local scores = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
        for place = 2, #scores, 2 do texts[index] = texts[index] .. scores[place] .. ' ' end
    end
    if claim.blocked then texts[3] = text(claim.since) .. ' ' .. text(claim.blocked) end
    if claim.departed then texts[4] = text(claim.departed) end
    return texts
end

if operation == 'give back' then
    -- looks at no stamps: the time of a moved clock is not known here
    for index = 1, #KEYS, 4 do
        redis.call('ZREM', KEYS[index], slot)
        redis.call('ZREM', KEYS[index + 1], slot)
    end
    return {}
end

local claims, answer = {}, {}
for index = 1, #KEYS / 4 do claims[index] = found(index) end

if operation == 'reserve' then
    local wait, departs, decisive, latest, pooled = 0, now, 1, 1, {}
    for index, claim in ipairs(claims) do
        local seconds, from_pool, leaves = judge(claim)
        pooled[index] = from_pool
        if seconds > wait then wait, decisive = seconds, index end
        if leaves > departs then departs, latest = leaves, index end
    end
    local granted = wait <= 0
    if granted then
        wait, decisive = departs - now, latest
        granted = wait <= longest
    end
    answer = {granted and '1' or '0', text(wait), tostring(decisive - 1)}
    for index, claim in ipairs(claims) do
        if granted and claim.counted then take(claim, pooled[index], departs) end
        answer[#answer + 1] = pooled[index] and '1' or '0'
    end
    for _, claim in ipairs(claims) do
        for _, number in ipairs(left(claim)) do answer[#answer + 1] = number end
    end
elseif operation == 'settle' then
    for _, claim in ipairs(claims) do settle(claim) end
elseif operation == 'block' then
    for _, claim in ipairs(claims) do block(claim) end
elseif operation == 'usages' then
    answer = {text(now)}
    for _, claim in ipairs(claims) do
        for _, each in ipairs(describe(claim)) do answer[#answer + 1] = each end
    end
end
return answer
"""
