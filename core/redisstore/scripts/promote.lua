-- promote.lua queues the delayed tasks whose time has come.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] at most so many
-- returns  how many, and ms until the next is due (0 = there is none)
drain()
local key = K.index .. 'DELAYED'
local due = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))

for _, id in ipairs(due) do
  leave('DELAYED', id)
  local r = call('HMGET', K.task .. id, 'st', 'q', 'pr', 'fn')
  if r[1] == 'DELAYED' then
    call('HSET', K.task .. id, 'st', 'QUEUED')
    enter('QUEUED', id, 0)
    line_up(r[2], r[3], r[4], id)
  end
end
flush(false)

local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
local wait = 0
if #first > 0 then wait = math.max(1, tonumber(first[2]) - now) end
return {#due, wait}
