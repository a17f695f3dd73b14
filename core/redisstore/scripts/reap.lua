-- reap.lua gives back the tasks whose lease has lapsed, as if their holder had
-- vanished. After an outage of the server, holders get the time of one lease to
-- renew: when its run id differs or nobody has reaped for long (or ever), a floor is set
-- before which nothing is reaped.
--
-- uses     clock drain record index giveback
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2]–[5] see giveback.lua, [6] grace in ms,
--          [7] at most so many, [8] a reap older than so many ms tells of an outage,
--          [9] a generation, for a server that has none
-- returns  how many were given back, the generation, the run id
drain()

-- A server may forbid INFO to us; then only the time of the last reap counts.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or 'unknown'

local last = call('HMGET', K.reap, 'run', 'at', 'floor')
local floor = tonumber(last[3]) or 0
if not last[1] or last[1] ~= run or now - tonumber(last[2]) > tonumber(ARGV[8]) then
  floor = now + tonumber(ARGV[6])
end
call('HSET', K.reap, 'run', run, 'at', now, 'floor', floor)
if call('HSETNX', K.reap, 'gen', ARGV[9]) == 1 then call('HSET', K.reap, 'since', now) end
local generation = call('HGET', K.reap, 'gen')
if now < floor then return {0, generation, run} end

local lapsed = call('ZRANGEBYSCORE', K.index .. 'RUNNING', '-inf', now, 'LIMIT', 0, tonumber(ARGV[7]))
fetch(lapsed)
for _, id in ipairs(lapsed) do
  if fields(id).st == 'RUNNING' then give_back(id, true) else leave('RUNNING', id) end
end
flush(true)
return {#lapsed, generation, run}
