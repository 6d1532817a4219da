-- Deletes a lock whose obtaining had no certain outcome, if it is ours.
-- KEYS[1] the lock
-- ARGV[1] our nonce
-- Returns 1 when the lock was ours, else 0.
if redis.call("GET", KEYS[1]) == ARGV[1] then
	return redis.call("DEL", KEYS[1])
end
return 0
