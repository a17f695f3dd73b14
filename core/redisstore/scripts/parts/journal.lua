-- journal.lua stands before the scripts of operations. An operation is a hash
-- (K.op .. id):
--   doc what was asked for, in JSON · ki kind · st state · cr created · du due · en ended
--   at how far its walk has come · n applied · sk skipped
--   ua new tasks that its undo has looked at · un undone · sd started
-- and of a retry a list of its new tasks, each with the old one behind a comma.
-- One that has something left to do stands in K.ops_due.
-- uses   clock

-- step_of returns the state of an operation that is due and stands at from, or nil.
local function step_of(op, from)
  local o = call('HMGET', K.op .. op, 'st', 'du', 'at')
  local open = o[1] == 'pending' or o[1] == 'applying'
  if not open or (o[3] or '') ~= from or now < tonumber(o[2]) then return nil end
  return o[1]
end

-- close ends an operation.
local function close(op, state)
  call('HSET', K.op .. op, 'st', state, 'en', now)
  call('ZREM', K.ops_due, op)
end

-- stepped notes that a step was carried out: n tasks, skipped ones beside.
local function stepped(op, to, last, n, skipped)
  call('HSET', K.op .. op, 'st', 'applying', 'at', to)
  if n > 0 then call('HINCRBY', K.op .. op, 'n', n) end
  if skipped > 0 then call('HINCRBY', K.op .. op, 'sk', skipped) end
  if last == '1' then close(op, 'done') end
end
