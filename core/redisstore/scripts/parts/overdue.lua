-- overdue.lua stands before claim.lua and expire.lua, which share what happens to
-- a task that waited too long.
-- uses   record depth finish

-- overdue ends a waiting task as expired; result is the envelope that it ends with.
local function overdue(id, state, result)
  local f = fields(id)
  if state == 'QUEUED' then depth(f.q, -1) end
  call('SET', K.result .. id, result)
  finish(id, state, 'FAILED', 'expired', f, {fn = f.fn, at = f.at, tx = f.tx})
end
