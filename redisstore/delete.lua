-- delete turns a row into a tombstone: the generation, the past and the MACs of the
-- last credentials stay for a while, so that a commit in flight and a save over it
-- know what was here. It works on a damaged row too.
--
-- KEYS: 1 row  2 due set
-- ARGV: 1 nonce  2 life of the tombstone ms  3 channel  4 id
--       5 cred of an unseen insert that is to be withdrawn, or blank
--       6 r: only a row that is being revoked; blank: any
-- Returns {word, gen, at, exp, cred, xf, xr, xu}: ok with what is needed to clear the
-- index, gone, or kept when it is not being revoked. A repeated delete answers ok, and
-- leaves alone what was saved since: that took the index over.
local row, due = KEYS[1], KEYS[2]
local h = redis.call('HMGET', row, 'gen', 'st', 'sv', 'at', 'exp', 'cred', 'xf', 'xr', 'xu', 'ut')
local st = h[2]

local function answer(gen)
  local out = { 'ok', gen }
  for i = 4, 9 do out[#out + 1] = h[i] or '' end
  return out
end

if ARGV[5] ~= '' then
  if st ~= 'p' or h[6] ~= ARGV[5] then return { 'gone' } end
else
  local mine = h[3] and string.match(h[3], ARGV[1] .. ':(%d+):')
  if mine and st == 'x' and mine == h[1] then return answer(mine) end
  if mine then return { 'ok', mine, '', '', '', '', '', '' } end
  if redis.call('EXISTS', row) == 0 or st == 'p' or st == 'x' then return { 'gone' } end
  if ARGV[6] == 'r' and st ~= 'r' then return { 'kept' } end
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local gen = string.format('%.0f', (tonumber(h[1] or '0') or 0) + 1)
local keep = redis.call('HMGET', row, 'mr', 'mg', 'ma', 'pf', 'pr', 'pa')
redis.call('DEL', row)
local writes = (h[3] or '') .. ARGV[1] .. ':' .. gen .. ':' .. now .. ';'
local fields = { 'gen', gen, 'st', 'x', 'ut', now, 'sv', writes }
for i, name in ipairs({ 'mr', 'mg', 'ma', 'pf', 'pr', 'pa' }) do
  if keep[i] and keep[i] ~= '' then
    fields[#fields + 1] = name
    fields[#fields + 1] = keep[i]
  end
end
for i, name in ipairs({ 'xf', 'xr', 'xu' }) do
  if h[6 + i] and h[6 + i] ~= '' then
    fields[#fields + 1] = name
    fields[#fields + 1] = h[6 + i]
  end
end
redis.call('HSET', row, unpack(fields))
redis.call('PEXPIRE', row, ARGV[2])
redis.call('ZREM', due, ARGV[4])
if ARGV[5] == '' then redis.call('PUBLISH', ARGV[3], 'd ' .. gen .. ' ' .. ARGV[4]) end
return answer(gen)
