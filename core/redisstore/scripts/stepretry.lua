-- stepretry.lua stands before submit.lua and makes it one step of a bulk retry:
-- a new task is submitted in place of each that is still a dead letter, and
-- what became of it is noted in the journal by the same script.
--
-- uses     many journal
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] operation, [3] from, [4] to, [5] 1 = the walk has
--          ended, [6] its new tasks are kept so long, in ms, [7] how many tasks
--          follow, then their dead letters, then forms and tasks as submit.lua
--          takes them
-- returns  what submit.lua does, or 0 when the operation is not at from, not due,
--          or undone
local step = ARGV
local count = tonumber(step[7])
if not step_of(step[2], step[3]) then return 0 end

-- From here on ARGV is what submit.lua would get.
local ARGV, made = {step[1], step[8 + count]}, {}
local width = count > 0 and (#step - 8 - count) / count or 0
for i = 1, count do
  local old = step[7 + i]
  local first = 9 + count + (i - 1) * width
  if call('ZSCORE', K.dead, old) then
    made[#made + 1] = {step[first], old}
    for j = first, first + width - 1 do ARGV[#ARGV + 1] = step[j] end
  end
end

-- submit.lua flushes when it has accepted what it can: of a task that it has
-- refused there is no record.
local flush_tasks = flush
local function flush(front)
  flush_tasks(front)
  local pairs_ = {}
  for _, m in ipairs(made) do
    if call('EXISTS', K.task .. m[1]) == 1 then pairs_[#pairs_ + 1] = m[1] .. ',' .. m[2] end
  end
  if #pairs_ > 0 then
    many('RPUSH', K.op_tasks .. step[2], pairs_)
    call('PEXPIRE', K.op_tasks .. step[2], step[6])
  end
  stepped(step[2], step[4], step[5], #pairs_, #made - #pairs_)
end
