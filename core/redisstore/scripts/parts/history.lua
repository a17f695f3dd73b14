-- history.lua: attempts that did not end their task.
-- uses   clock
--
-- remember adds an attempt that did not end its task to the task's history. r
-- is as for finish, with tc; elapsed is in microseconds or ''; detail is JSON or ''.
-- A task that ends at its first attempt has no history: the record tells all.
local ATTEMPTS, OUTPUTS = 20, 3
local function remember(id, what, r, attempt, elapsed, detail, output)
  local length = call('RPUSH', K.history .. id, table.concat({what, attempt, r.wo or '', r.tc or 0, r.tb or 0, now, elapsed, detail}, '\t'))
  if length > ATTEMPTS then call('LTRIM', K.history .. id, -ATTEMPTS, -1) end
  if output == '' then return end
  call('HSET', K.outputs .. id, attempt, output)
  for _, n in ipairs(call('HKEYS', K.outputs .. id)) do
    if tonumber(n) <= attempt - OUTPUTS then call('HDEL', K.outputs .. id, n) end
  end
end
