-- commit writes the outcome of a successful attempt over the credentials that it
-- was made from. It never asks who holds the lock.
--
-- KEYS: 1 row  2 lock  3 due set
-- ARGV: 1 nonce (the new cred)  2 expected cred  3 at  4 exp ms  5 cr
--       6 mr  7 mg  8 ma  9 next action ms  10 channel  11 id  12 sealed spare
--       13 digest of the refresh token's index entry
--       14 doubt (1 or 0): the answer was not whole and brought no refresh token
-- Returns {word, now, gen, old}: ok, gone, sibling or stale; old is the digest of an
-- index entry that the row needs no more, or blank. The lock is deleted when it is
-- ours, whatever the word.
local row, lock, due = KEYS[1], KEYS[2], KEYS[3]
local nonce, expected = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

if redis.call('GET', lock) == nonce then redis.call('DEL', lock) end

local h = redis.call('HMGET', row, 'gen', 'cred', 'prev', 'st', 'in', 'db', 'lg', 'mr', 'mg', 'ma', 'pf', 'pr', 'pa', 'xf', 'xr')
local gen, cred, prev, st, intent = h[1], h[2], h[3], h[4], h[5]
if not gen or st == 'p' or st == 'x' then return { 'gone', int(now), gen or '0', '' } end

-- The index entries of the last three rotated refresh tokens stay; a fourth is the one
-- to be removed, and is forgotten by the next rotation.
local recent = h[15] or ''
local function old() return #recent > 48 and string.sub(recent, 1, 16) or '' end

if cred == nonce then return { 'ok', int(now), gen, old() } end

local function has(ring, mac)
  for i = 1, #ring, 8 do
    if string.sub(ring, i, i + 7) == mac then return true end
  end
  return false
end

local function push(ring, mac, most)
  if mac == '' or has(ring, mac) then return ring end
  ring = ring .. mac
  if #ring > most * 8 then ring = string.sub(ring, -most * 8) end
  return ring
end

local mr, mg, ma = h[8] or '', h[9] or '', h[10] or ''
local pf, pr, pa = h[11] or '', h[12] or '', h[13] or ''

-- The call has ended now, not at its deadline.
local log = h[7]
if log then
  local mine = string.sub(nonce, 1, 8)
  log = string.gsub(log, '(%d+):(%w+);', function(t, n)
    if n == mine and tonumber(t) > now then return int(now) .. ':' .. n .. ';' end
  end)
  redis.call('HSET', row, 'lg', log)
end

if cred ~= expected then
  if prev ~= expected or expected == '' then return { 'stale', int(now), gen, '' } end
  if ARGV[12] ~= '' and ARGV[6] ~= mr and not has(pr, ARGV[6]) and not has(pf, ARGV[6]) then
    redis.call('HSET', row, 'sp', ARGV[12])
  end
  return { 'sibling', int(now), gen, '' }
end

-- Doubt is told to the next attempt: the credential written here may have come
-- from one that another attempt had spent.
local owner = intent and string.match(intent, '^([^|]*)|')
local doubted = h[6] == '1' or string.sub(st, 1, 2) == 'u:' or (owner and owner ~= nonce) or ARGV[14] == '1'

if mr ~= ARGV[6] then pr = push(pr, mr, 15) end
if mg ~= ARGV[7] then pr = push(pr, mg, 15) end
if ma ~= ARGV[8] then pa = push(pa, ma, 15) end
local first = h[14] or ''
if mr == '' and ARGV[6] ~= '' then
  pf = push(pf, ARGV[6], 16)
  first = string.sub(first .. 'r' .. ARGV[13], -16 * 17)
elseif mr ~= ARGV[6] and ARGV[6] ~= '' then
  recent = string.sub(string.sub(recent, -48) .. ARGV[13], -64)
end

gen = int(redis.call('HINCRBY', row, 'gen', 1))
redis.call('HINCRBY', row, 'lc', 1)
redis.call('HSET', row, 'cred', nonce, 'prev', expected, 'at', ARGV[3], 'exp', ARGV[4], 'cr', ARGV[5],
  'mr', ARGV[6], 'mg', ARGV[7], 'ma', ARGV[8], 'pf', pf, 'pr', pr, 'pa', pa, 'xf', first, 'xr', recent,
  'st', st == 'r' and 'r' or 'a', 'ut', int(now), 'fd', doubted and '1' or '')
redis.call('HDEL', row, 'in', 'sp', 'db', 'cd', 'fl')
-- Until indexed.lua: whoever reads this refresh token makes sure of its index entry.
if mr ~= ARGV[6] and ARGV[6] ~= '' then redis.call('HSET', row, 'ix', nonce) end
redis.call('ZADD', due, ARGV[9], ARGV[11])
redis.call('PUBLISH', ARGV[10], 'c ' .. gen .. ' ' .. ARGV[11])
return { 'ok', int(now), gen, old() }
