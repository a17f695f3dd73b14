-- overdue.lua stands before claim.lua and expire.lua, which share what happens to
-- a task that waited too long.
-- uses   depth finish

-- overdue ends a waiting task as expired; result is the envelope that it ends with.
local function overdue(id, state, result)
  local f = call('HMGET', K.task .. id, 'fn', 'at', 'ts', 'q', 'tx')
  if state == 'QUEUED' then depth(f[4], -1) end
  call('SET', K.result .. id, result)
  finish(id, state, 'FAILED', 'expired', {fn = f[1], at = f[2], ts = tonumber(f[3]), tx = f[5]})
end
