-- indexed takes from a row the mark of a commit whose refresh token is in the index.
--
-- KEYS: 1 row
-- ARGV: 1 nonce of the commit
-- Returns {word}: ok, or gone when there is no row by now.
local h = redis.call('HMGET', KEYS[1], 'st', 'ix')
if h[2] == ARGV[1] then redis.call('HDEL', KEYS[1], 'ix') end
return { (h[1] and h[1] ~= 'x') and 'ok' or 'gone' }
