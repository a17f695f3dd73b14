-- standing.lua tells where one task stands and what bears on it. It changes nothing.
--
-- uses     clock hash class record
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] task, [3] how many entries of its line may be
--          looked at
-- returns  nothing when there is no task, else
--          [1] now, [2] its record, [3] due or false, [4] dispatcher
--          or false, [5] when its lease lapses or false, [6] tasks of its class
--          before it, [7] 1 = there are more, [8] other classes of its queue
--          that take turns, [9] tasks in its queue, [10] since when that is
--          paused or false, [11] RUNNING tasks of its function, [12] when the
--          bucket of its function will be full or false, [13] counters of its function,
--          [14] its spec envelope
local id = ARGV[2]
local r = fields(id)
local state, fn, queue = r.st, r.fn, r.q
if not state then return {} end

-- place counts what stands before the task. A line may hold tasks that have ended.
local ahead, more, rivals = 0, 0, 0
local function place()
  local h, class = hash(queue), class_of(r.pr, fn)
  rivals = call('ZCARD', K.ready .. h)
  if call('ZSCORE', K.ready .. h, class) then rivals = rivals - 1 end
  local line = call('LRANGE', K.line .. h .. ':' .. class, 0, tonumber(ARGV[3]) - 1)
  fetch(line)
  for _, other in ipairs(line) do
    if other == id then return end
    if fields(other).st == 'QUEUED' then ahead = ahead + 1 end
  end
  more = 1
end
if state == 'QUEUED' then place() end

local lease = state == 'RUNNING' and call('ZSCORE', K.index .. 'RUNNING', id)
return {
  now, call('GET', K.task .. id), r.td or false, state == 'RUNNING' and r.di ~= '' and r.di, lease,
  ahead, more, rivals, call('HGET', K.depths, queue) or 0, call('HGET', K.paused, queue),
  call('HGET', K.running, fn) or 0, call('HGET', K.rates, fn), call('HGETALL', K.counters_of .. fn),
  call('GET', K.spec .. id),
}
