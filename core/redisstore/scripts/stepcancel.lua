-- stepcancel.lua is one step of a bulk cancel: tasks that are still in a state
-- that was asked for, and not yet told to end, are.
--
-- uses     drain journal cancelone
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] operation, [3] from, [4] to, [5] 1 = the walk has
--          ended, [6] result envelope of a cancelled task, [7] states, with
--          commas, [8] grace in ms or '', then ids
-- returns  1, or 0 when the operation is not at from, not due, or undone
drain()
if not step_of(ARGV[2], ARGV[3]) then return 0 end
local allowed, n = {}, 0
for state in string.gmatch(ARGV[7], '[^,]+') do allowed[state] = true end
for i = 9, #ARGV do
  local verdict = cancel(ARGV[i], allowed, ARGV[6], ARGV[8])
  if verdict == 'cancelled' or verdict == 'cancelling' then n = n + 1 end
end
flush(false)
tell(ARGV[8])
stepped(ARGV[2], ARGV[4], ARGV[5], n, 0)
return 1
