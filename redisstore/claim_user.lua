-- claim_user claims a user name, narrowed by provider, data centre and client, for a
-- row: pending, until confirm_user.
--
-- A member is three 4-byte digests (zeros for a blank, which agrees with any) and the
-- id; its score is since when it is pending, in ms, and once confirmed the generation
-- of its row with a minus sign.
--
-- KEYS: 1 entry of the user name
-- ARGV: 1 member  2 a dead member that may be replaced, or blank  3 its score
-- Returns {word, now, score, member}: new, again (the row's own claim was there
-- already), other (another row's that agrees, confirmed) or pending (another row's).
local key, member = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local zero = string.rep('\0', 4)
local function agree(a, b)
  for i = 1, 9, 4 do
    local x, y = string.sub(a, i, i + 3), string.sub(b, i, i + 3)
    if x ~= zero and y ~= zero and x ~= y then return false end
  end
  return true
end

local word, since, rival = 'new', now, nil
local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  local m, score = all[i], tonumber(all[i + 1])
  if string.sub(m, 13) == string.sub(member, 13) then
    if m == member then
      word = 'again'
      if score >= since then since = score + 1 end
    end
  elseif m == ARGV[2] and int(score) == ARGV[3] then
    redis.call('ZREM', key, m)
  elseif #m > 12 and agree(m, member) and (not rival or score < rival[2]) then
    rival = { m, score }
  end
end
if rival then
  return { rival[2] < 0 and 'other' or 'pending', int(now), int(rival[2]), rival[1] }
end
redis.call('ZADD', key, int(since), member)
return { word, int(now), int(since), member }
