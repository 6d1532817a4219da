-- cooldown quiets every token of an OAuth client; a longer cooldown stays.
--
-- KEYS: 1 cooldown of the client
-- ARGV: 1 length ms  2 class  3 code
-- Returns {word}: ok.
local length = tonumber(ARGV[1])
if redis.call('PTTL', KEYS[1]) < length then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('SET', KEYS[1], string.format('%.0f', now + length) .. '|' .. ARGV[2] .. '|' .. ARGV[3],
    'PX', string.format('%.0f', length))
end
return { 'ok' }
