-- confirm_user confirms the claim of a row on a user name, and removes the member
-- under which an earlier generation of the row stood, narrowed otherwise. A claim
-- that is missing while no other row's agrees is made.
--
-- KEYS: 1 entry of the user name
-- ARGV: 1 member  2 generation
-- Returns {word}: ok, or lost when another row has the name by now.
local key, member, gen = KEYS[1], ARGV[1], tonumber(ARGV[2])

local zero = string.rep('\0', 4)
local function agree(a, b)
  for i = 1, 9, 4 do
    local x, y = string.sub(a, i, i + 3), string.sub(b, i, i + 3)
    if x ~= zero and y ~= zero and x ~= y then return false end
  end
  return true
end

local mine, rival, newer, former = false, false, false, {}
local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  local m, score = all[i], tonumber(all[i + 1])
  if string.sub(m, 13) ~= string.sub(member, 13) then
    rival = rival or (#m > 12 and agree(m, member))
  else
    mine = mine or m == member
    if -score > gen then newer = true end
    if m ~= member and score < 0 then former[#former + 1] = m end
  end
end
if rival and not mine then return { 'lost' } end
if newer then
  -- A later save has narrowed the row otherwise, or has confirmed this already.
  local score = redis.call('ZSCORE', key, member)
  if score and tonumber(score) > 0 then redis.call('ZREM', key, member) end
  return { 'ok' }
end
redis.call('ZADD', key, string.format('%.0f', -gen), member)
for _, m in ipairs(former) do redis.call('ZREM', key, m) end
return { 'ok' }
