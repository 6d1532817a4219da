-- confirm_token confirms the claim of a row on the entry of a token. An entry that
-- is missing is nobody's and is taken.
--
-- KEYS: 1 entry
-- ARGV: 1 id  2 generation  3 life ms (0: for ever)
-- Returns {word}: ok, or lost when the entry is another row's by now.
local v = redis.call('GET', KEYS[1])
if v then
  local space = #v > 2 and string.find(v, ' ', 3, true) or 2
  if string.sub(v, space + 1) ~= ARGV[1] then return { 'lost' } end
  local gen = string.sub(v, 1, 1) == 'c' and tonumber(string.sub(v, 3, space - 1))
  if gen and gen > tonumber(ARGV[2]) then return { 'ok' } end
end
v = 'c ' .. ARGV[2] .. ' ' .. ARGV[1]
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], v)
else
  redis.call('SET', KEYS[1], v, 'PX', ARGV[3])
end
return { 'ok' }
