-- drop_token removes the entry of a token: a claim that is given up, or what a row
-- has left behind.
--
-- KEYS: 1 entry
-- ARGV: 1 the whole entry, or blank: any that was confirmed
--       2 for this id  3 before this generation
-- Returns {word}: ok or kept.
local v = redis.call('GET', KEYS[1])
if not v then return { 'ok' } end
if ARGV[1] ~= '' then
  if v ~= ARGV[1] then return { 'kept' } end
else
  local space = #v > 2 and string.find(v, ' ', 3, true) or 2
  if string.sub(v, space + 1) ~= ARGV[2] then return { 'kept' } end
  local gen = string.sub(v, 1, 1) == 'c' and tonumber(string.sub(v, 3, space - 1))
  if not gen or gen >= tonumber(ARGV[3]) then return { 'kept' } end
end
redis.call('DEL', KEYS[1])
return { 'ok' }
