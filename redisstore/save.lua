-- save writes what a client has composed from the row that it read, unless the row
-- has changed since.
--
-- KEYS: 1 row  2 due set
-- ARGV: 1 nonce of the save  2 generation that was read (0: no row)
--       3 latest time ms (0: any): the claims that the save relies on are given up
--         to others after it
--       4 how: u update, i insert, p insert unseen until activate
--       5 life of an unseen row ms  6 next action ms  7 channel  8 id
--       9 least generation that the write makes
--       10 number of fields to drop, then their names, then pairs of field and value
-- Returns {word, now, gen, ut}: ok, changed or late. A repeated save answers ok with
-- the generation that it made, though others have followed.
local row, due = KEYS[1], KEYS[2]
local nonce, how = ARGV[1], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local h = redis.call('HMGET', row, 'gen', 'sv', 'ut')
local gen, saves = h[1] or '0', h[2] or ''
for n, g, t in string.gmatch(saves, '(%w+):(%d+):(%d+);') do
  if n == nonce then return { 'ok', int(now), g, t } end
end
if gen ~= ARGV[2] then return { 'changed', int(now), gen, '' } end
if ARGV[3] ~= '0' and now > tonumber(ARGV[3]) then return { 'late', int(now), gen, '' } end

local ut = now
if h[3] and how == 'u' and tonumber(h[3]) > ut then ut = tonumber(h[3]) end
gen = int(math.max(tonumber(gen) + 1, tonumber(ARGV[9])))

-- The newest writes, a delete among them, so that a repetition is recognised after others
-- have followed.
local kept = {}
for entry in string.gmatch(saves, '%w+:%d+:%d+;') do kept[#kept + 1] = entry end
kept[#kept + 1] = nonce .. ':' .. gen .. ':' .. int(ut) .. ';'
while #kept > 4 do table.remove(kept, 1) end

if how ~= 'u' then redis.call('DEL', row) end
local drop = tonumber(ARGV[10])
local fields = { 'gen', gen, 'ut', int(ut), 'sv', table.concat(kept) }
for i = 11 + drop, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('HSET', row, unpack(fields))
if drop > 0 then redis.call('HDEL', row, unpack(ARGV, 11, 10 + drop)) end

if how == 'p' then
  redis.call('PEXPIRE', row, ARGV[5])
else
  redis.call('ZADD', due, 'NX', '+inf', '')
  redis.call('ZADD', due, ARGV[6], ARGV[8])
  redis.call('PUBLISH', ARGV[7], 's ' .. gen .. ' ' .. ARGV[8])
end
return { 'ok', int(now), gen, int(ut) }
