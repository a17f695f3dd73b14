-- steppurge.lua is one step of a purge: tasks that are still dead letters are
-- forgotten.
--
-- uses     drain record journal forget
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] operation, [3] from, [4] to, [5] 1 = the walk has
--          ended, then ids
-- returns  1, or 0 when the operation is not at from, not due, or undone
drain()
if not step_of(ARGV[2], ARGV[3]) then return 0 end
local n = 0
for i = 6, #ARGV do
  local id = ARGV[i]
  if call('ZSCORE', K.dead, id) then
    local r = fields(id)
    forget(id, r.st, r.fn, r.ik)
    n = n + 1
  end
end
flush(false)
stepped(ARGV[2], ARGV[4], ARGV[5], n, 0)
return 1
