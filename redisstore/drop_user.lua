-- drop_user removes a member of the entry of a user name: a claim that is given up,
-- or what a row has left behind.
--
-- KEYS: 1 entry of the user name
-- ARGV: 1 member  2 its score, or blank: any that was confirmed
--       3 before this generation
-- Returns {word}: ok or kept.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score then return { 'ok' } end
score = tonumber(score)
if ARGV[2] ~= '' then
  if string.format('%.0f', score) ~= ARGV[2] then return { 'kept' } end
elseif score > 0 or -score >= tonumber(ARGV[3]) then
  return { 'kept' }
end
redis.call('ZREM', KEYS[1], ARGV[1])
return { 'ok' }
