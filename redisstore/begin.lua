-- begin decides whether an attempt may call the provider and, if so, leaves its
-- intent. See docs/adr/0002 for the order of the checks.
--
-- KEYS: 1 row  2 lock
-- ARGV: 1 nonce  2 expected cred  3 highest generation seen  4 kind (b, m or f)
--       5 forced interval ms  6 budget ms  7 rotation (r reusable, or another letter)
--       8 channel  9 id  10… pairs: calls, window ms
-- Returns {word, now, gen, …}:
--   go: until, doubt (1 or ""), exp, cred, st, pn, at, cr, sec, ov, fl, cd, ut
--   state: st, fl   denied: until, why, fl   recover: until
-- Any word but go deletes the lock when it is ours.
local row, lock = KEYS[1], KEYS[2]
local nonce, expected = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local owned = redis.call('GET', lock) == nonce
local gen

local function answer(word, ...)
  if owned and word ~= 'go' then redis.call('DEL', lock) end
  return { word, int(now), gen or '0', ... }
end

local h = redis.call('HMGET', row, 'gen', 'cred', 'st', 'in', 'cd', 'fl', 'fo', 'lg', 'db', 'mr', 'mg', 'exp')
gen = h[1]
local cred, st, intent, cooldown, failure = h[2], h[3], h[4], h[5], h[6] or ''
if not gen or st == 'p' or st == 'x' then return answer('gone') end
if not owned then return answer('lost') end

local owner, deadline, flags
if intent then
  owner, deadline, flags = string.match(intent, '^([^|]*)|(%d+)|%d+|(%a*)$')
  deadline = tonumber(deadline)
end

local function go(untilMs)
  local f = redis.call('HMGET', row, 'exp', 'cred', 'st', 'pn', 'at', 'cr', 'sec', 'ov', 'fl', 'cd', 'ut', 'db')
  local out = { 'go', int(now), gen, int(untilMs), f[12] or '' }
  for i = 1, 11 do out[#out + 1] = f[i] or '' end
  return out
end

if owner == nonce then return go(deadline) end

local function condemn(reason)
  st = 'u:' .. reason
  gen = redis.call('HINCRBY', row, 'gen', 1)
  gen = int(gen)
  redis.call('HSET', row, 'st', st, 'ut', int(now))
  redis.call('HDEL', row, 'in')
  redis.call('PUBLISH', ARGV[8], 'f ' .. gen .. ' ' .. ARGV[9])
  return answer('state', st, failure)
end

if st ~= 'a' then return answer('state', st, failure) end

if tonumber(gen) < tonumber(ARGV[3]) then
  -- A lost write may have spent the credential: leave an intent without an owner.
  if not (flags and string.find(flags, 'x', 1, true)) then
    local untilMs = now + tonumber(ARGV[6])
    if deadline and deadline > untilMs then untilMs = deadline end
    redis.call('HSET', row, 'in', '-|' .. int(untilMs) .. '|' .. int(now) .. '|xe' .. (flags and string.find(flags, 'o', 1, true) and 'o' or ''))
  end
  redis.call('PUBLISH', ARGV[8], 'f ' .. gen .. ' ' .. ARGV[9])
  return answer('regressed')
end

if cred ~= expected then return answer('changed') end
if cooldown and tonumber(cooldown) > now then return answer('denied', cooldown, 'cooldown', failure) end

-- What is about to be presented: a code is strict whatever the provider does with
-- refresh tokens; client credentials can always be presented again.
local hasRefresh, hasGrant = (h[10] or '') ~= '', (h[11] or '') ~= ''
local strict = (hasRefresh and ARGV[7] ~= 'r') or (not hasRefresh and hasGrant)
local code = not hasRefresh and hasGrant

local doubt = h[9] == '1'
if owner and strict then
  if now < deadline then return answer('recover', int(deadline)) end
  if code then return condemn('code_outcome_unknown') end
  if string.find(flags, 'o', 1, true) then return condemn('rotation_lost') end
  doubt = true
end

local kind = ARGV[4]
if kind == 'f' and h[7] and tonumber(h[7]) + tonumber(ARGV[5]) > now then
  return answer('denied', int(tonumber(h[7]) + tonumber(ARGV[5])), 'forced', failure)
end

-- The call log: "ms:nonce head;" a call, oldest end first is not assumed.
local calls, longest = {}, 0
for i = 10, #ARGV, 2 do
  if tonumber(ARGV[i + 1]) > longest then longest = tonumber(ARGV[i + 1]) end
end
for t, n in string.gmatch(h[8] or '', '(%d+):(%w+);') do
  if tonumber(t) > now - longest then calls[#calls + 1] = { tonumber(t), n } end
end
table.sort(calls, function(a, b) return a[1] < b[1] end)
local wait = 0
for i = 10, #ARGV, 2 do
  local limit, per = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if kind == 'b' then limit = math.max(limit - 2, 1) end
  local used = 0
  for _, c in ipairs(calls) do
    if c[1] > now - per then used = used + 1 end
  end
  if used >= limit then
    -- free again once all but limit-1 of the newest calls have left the window
    local t = calls[#calls - limit + 1][1] + per
    if t > wait then wait = t end
  end
end
if wait > 0 then return answer('denied', int(wait), 'quota', failure) end

local untilMs = now + tonumber(ARGV[6])
if #ARGV >= 10 then
  local log = {}
  for _, c in ipairs(calls) do log[#log + 1] = int(c[1]) .. ':' .. c[2] .. ';' end
  log[#log + 1] = int(untilMs) .. ':' .. string.sub(nonce, 1, 8) .. ';'
  redis.call('HSET', row, 'lg', table.concat(log))
end
redis.call('HSET', row, 'in', nonce .. '|' .. int(untilMs) .. '|' .. int(now) .. '|' .. (doubt and 'o' or ''))
if doubt then redis.call('HSET', row, 'db', '1') end
if kind == 'f' then redis.call('HSET', row, 'fo', int(now)) end
return go(untilMs)
