-- holds.lua: the fence.
--
-- holds compares a lease with a record read as st, ep, cl: 'ok', 'already' when
-- it is the one settled last, or 'stale'.
local function holds(r, epoch, claim)
  if not r[1] or r[2] ~= epoch or r[3] ~= claim then return 'stale' end
  return r[1] == 'RUNNING' and 'ok' or 'already'
end
