-- awaken.lua: classes that take part in their queues.
-- uses   clock hash
--
-- Queues. A class is one priority of one function; its name sorts the higher
-- priority first, which decides between equal virtual times. A class whose line is
-- not empty stands in exactly one place:
--   in ready and turn of its queue, which then stands in queues unless it is paused;
--   in capped of its function, as that has as many RUNNING tasks as it may;
--   in throttled, as its function's bucket is empty;
--   in unfit of what its function needs, as a claim was for workers without that.
-- The latter three are parked: parked names the queue. claim parks a class when it is
-- its turn and there is no room; it looks at it again only when there may be.

local function cost(class) return 4 ^ (tonumber(string.sub(class, 1, 1)) - 9) end

-- awaken makes a class whose line is no longer empty take part in its queue.
-- Its virtual time is when its first task would be done if it was served from
-- now on. What it had before its line was empty can only be earlier, and need
-- not be remembered. WELCOME is a little less than the whole cost: so it goes before
-- the next task of the class that was served last, and not by chance of its name.
local WELCOME = 15 / 16
local function awaken(queue, class)
  local h = hash(queue)
  local time = tonumber(call('GET', K.virtual .. h)) or 0
  call('ZADD', K.ready .. h, string.format('%.17g', time + WELCOME * cost(class)), class)
  call('ZADD', K.turn .. h, now, class)
  if not call('ZSCORE', K.queues, queue) and call('HEXISTS', K.paused, queue) == 0 then
    local first = call('ZRANGE', K.queues, 0, 0, 'WITHSCORES')
    call('ZADD', K.queues, first[2] or 0, queue)
  end
end
