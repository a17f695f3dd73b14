-- holds.lua: the fence.
--
-- holds compares a lease with a record: 'ok', 'already' when
-- it is the one settled last, or 'stale'.
local function holds(r, epoch, claim)
  if not r.st or r.ep ~= epoch or r.cl ~= claim then return 'stale' end
  return r.st == 'RUNNING' and 'ok' or 'already'
end
