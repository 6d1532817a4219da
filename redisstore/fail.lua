-- fail records an attempt that brought no token. It acts only while the
-- credentials are the expected ones and the intent is the attempt's own.
--
-- KEYS: 1 row  2 lock
-- ARGV: 1 nonce  2 expected cred  3 outcome (refused, unspent or unknown)
--       4 sent (1 or 0)  5 lost (1 or 0)  6 class  7 code  8 cooldown ms
--       9 rotation (r reusable, or another letter)  10 channel  11 id
-- Returns {applied (1 or 0), now, st, end of the cooldown}. The lock is deleted
-- when it is ours.
local row, lock = KEYS[1], KEYS[2]
local nonce, expected, outcome = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

if redis.call('GET', lock) == nonce then redis.call('DEL', lock) end

local h = redis.call('HMGET', row, 'gen', 'cred', 'st', 'in', 'cd', 'fl', 'lg', 'db', 'fd', 'mr', 'mg', 'fo')
local gen, cred, st, intent = h[1], h[2], h[3], h[4]
if not gen or st == 'p' or st == 'x' then return { '0', int(now), '', '0' } end

local owner, deadline, begun, flags
if intent then owner, deadline, begun, flags = string.match(intent, '^([^|]*)|(%d+)|(%d+)|(%a*)$') end
if cred ~= expected or owner ~= nonce then return { '0', int(now), st, h[5] or '0' } end
if string.find(flags, 'e', 1, true) then return { '1', int(now), st, h[5] or '0' } end

local hasRefresh, hasGrant = (h[10] or '') ~= '', (h[11] or '') ~= ''
local code = not hasRefresh and hasGrant
local strict = code or (hasRefresh and ARGV[9] ~= 'r')
local one = string.find(flags, 'o', 1, true)

-- The call has ended now, or never was.
local log = h[7]
if log then
  local mine = string.sub(nonce, 1, 8)
  log = string.gsub(log, '(%d+):(%w+);', function(t, n)
    if n ~= mine then return nil end
    if ARGV[4] == '0' then return '' end
    if tonumber(t) > now then return int(now) .. ':' .. n .. ';' end
  end)
  redis.call('HSET', row, 'lg', log)
end

if ARGV[4] == '0' and h[12] == begun then redis.call('HDEL', row, 'fo') end

local reason
if outcome == 'refused' then
  local doubtful = strict and not code and (h[8] == '1' or h[9] == '1')
  reason = doubtful and 'rotation_lost' or 'revoked'
elseif outcome == 'unknown' then
  if code then
    reason = 'code_outcome_unknown'
  elseif strict and (ARGV[5] == '1' or one) then
    reason = 'rotation_lost'
  end
end

if outcome == 'unknown' and not reason then
  redis.call('HSET', row, 'in', owner .. '|' .. deadline .. '|' .. begun .. '|' .. flags .. 'e')
else
  redis.call('HDEL', row, 'in')
end
if reason and st ~= 'r' then -- a revocation under way stays one
  st = 'u:' .. reason
  gen = int(redis.call('HINCRBY', row, 'gen', 1))
  redis.call('HSET', row, 'st', st, 'ut', int(now))
end

local cooldown = tonumber(h[5] or '0')
if tonumber(ARGV[8]) > 0 and now + tonumber(ARGV[8]) > cooldown then
  cooldown = now + tonumber(ARGV[8])
  redis.call('HSET', row, 'cd', int(cooldown))
end
if ARGV[6] ~= '' then
  local count = h[6] and tonumber(string.match(h[6], '^[^|]*|[^|]*|(%d+)|')) or 0
  redis.call('HSET', row, 'fl', ARGV[6] .. '|' .. ARGV[7] .. '|' .. int(count + 1) .. '|' .. int(now))
end
redis.call('PUBLISH', ARGV[10], 'f ' .. gen .. ' ' .. ARGV[11])
return { '1', int(now), st, int(cooldown) }
