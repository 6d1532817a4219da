-- activate makes an unseen insert visible, once all its claims are confirmed.
--
-- KEYS: 1 row  2 due set
-- ARGV: 1 cred of the insert  2 channel  3 id
-- Returns {word}: ok, now or by an earlier run; lost when the row is another by now.
local row, due = KEYS[1], KEYS[2]
local h = redis.call('HMGET', row, 'gen', 'cred', 'st', 'exp', 'ps')
if not h[1] or h[2] ~= ARGV[1] or h[3] == 'x' then return { 'lost' } end
if h[3] ~= 'p' then return { 'ok' } end
redis.call('HSET', row, 'st', h[5] or 'a')
redis.call('HDEL', row, 'ps')
redis.call('PERSIST', row)
redis.call('ZADD', due, 'NX', '+inf', '')
redis.call('ZADD', due, h[4] or '0', ARGV[3])
redis.call('PUBLISH', ARGV[2], 's ' .. h[1] .. ' ' .. ARGV[3])
return { 'ok' }
