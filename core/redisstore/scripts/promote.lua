-- promote.lua queues the delayed tasks whose time has come, and lets classes take
-- part again whose rate allows the next task.
--
-- uses     clock drain record index lines unthrottle
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] at most so many
-- returns  how many tasks, and ms until the next task or class is due (0 = there
--          is none)
drain()
unpark_due()
local key = K.index .. 'DELAYED'
local due = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))

fetch(due)
for _, id in ipairs(due) do
  leave('DELAYED', id)
  local r = fields(id)
  if r.st == 'DELAYED' then
    change(id, {st = 'QUEUED'})
    enter('QUEUED', id, 0)
    line_up(r.q, r.pr, r.fn, id)
  end
end
flush(false)

local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
local class = call('ZRANGE', K.throttled, 0, 0, 'WITHSCORES')
local wait = 0
if #first > 0 then wait = math.max(1, tonumber(first[2]) - now) end
if #class > 0 then
  local time = math.max(1, tonumber(class[2]) - now)
  if wait == 0 or time < wait then wait = time end
end
return {#due, wait}
