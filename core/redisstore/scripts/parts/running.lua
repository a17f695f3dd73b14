-- running.lua: how many tasks of functions run.
-- uses   uncap
--
-- running counts the tasks of each function whose state is RUNNING, no
-- more and no less: each transition into and out of that state notes it with runs.
local more_running = {}
local function runs(fn, n) more_running[fn] = (more_running[fn] or 0) + n end

--- flush
for fn, n in pairs(more_running) do
  if n ~= 0 and call('HINCRBY', K.running, fn, n) <= 0 then call('HDEL', K.running, fn) end
  if n < 0 then unpark_capped(fn) end
end
