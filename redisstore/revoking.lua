-- revoking keeps every later attempt from beginning. A row that needs a sign-in
-- can be revoked too.
--
-- KEYS: 1 row
-- ARGV: 1 channel  2 id
-- Returns {word}: ok or gone.
local row = KEYS[1]
local h = redis.call('HMGET', row, 'gen', 'st')
local st = h[2]
if not h[1] or st == 'p' or st == 'x' then return { 'gone' } end
if st == 'r' then return { 'ok' } end
local time = redis.call('TIME')
local gen = string.format('%.0f', redis.call('HINCRBY', row, 'gen', 1))
redis.call('HSET', row, 'st', 'r', 'ut', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('PUBLISH', ARGV[1], 'r ' .. gen .. ' ' .. ARGV[2])
return { 'ok' }
