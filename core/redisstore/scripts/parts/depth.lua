-- depth.lua: how many tasks queues hold.
local deeper = {}

-- depth notes that a queue holds n tasks more.
local function depth(queue, n) deeper[queue] = (deeper[queue] or 0) + n end

--- flush
-- Less than none proves that the count had been lost: it begins anew, so that it is
-- right again when the queue is empty at the latest, and is counted as a repair.
for queue, n in pairs(deeper) do
  local left = n ~= 0 and call('HINCRBY', K.depths, queue, n) or 1
  if left <= 0 then call('HDEL', K.depths, queue) end
  if left < 0 then call('HINCRBY', K.counters, 'repaired', 1) end
end
