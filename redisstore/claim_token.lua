-- claim_token claims the index entry of a refresh, grant or access token for a row:
-- pending, until confirm_token.
--
-- An entry is "p <since ms> <id>" while pending, "c <gen> <id>" once confirmed.
--
-- KEYS: 1 entry
-- ARGV: 1 id  2 a dead entry that may be replaced, or blank  3 life ms (0: for ever)
-- Returns {word, now, entry}: new, again (the row's own claim was there already),
-- other (another row's, confirmed) or pending (another row's).
local v = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local word = 'new'
local since = now
if v and v ~= ARGV[2] then
  local space = #v > 2 and string.find(v, ' ', 3, true) or 2
  if string.sub(v, space + 1) ~= ARGV[1] then
    return { string.sub(v, 1, 1) == 'p' and 'pending' or 'other', int(now), v }
  end
  word = 'again'
  -- Never twice the same claim: its first owner must not release it for the second.
  local before = string.sub(v, 1, 1) == 'p' and tonumber(string.sub(v, 3, space - 1))
  if before and before >= since then since = before + 1 end
end
v = 'p ' .. int(since) .. ' ' .. ARGV[1]
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], v)
else
  redis.call('SET', KEYS[1], v, 'PX', ARGV[3])
end
return { word, int(now), v }
