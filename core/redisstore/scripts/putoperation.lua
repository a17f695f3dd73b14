-- putoperation.lua writes a pending operation into the journal, and forgets the
-- oldest that have ended. One that exists is left alone.
--
-- uses     clock
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept (not used), [2] id, [3] kind, [4] document, [5] due in
--          ms from now, [6] how many ended ones are kept
-- returns  nothing
local op = ARGV[2]
if call('EXISTS', K.op .. op) == 1 then return end
local due = now + tonumber(ARGV[5])
call('HSET', K.op .. op, 'doc', ARGV[4], 'ki', ARGV[3], 'st', 'pending', 'cr', now, 'du', due)
call('ZADD', K.ops, now, op)
call('ZADD', K.ops_due, due, op)
local extra = call('ZCARD', K.ops) - call('ZCARD', K.ops_due) - tonumber(ARGV[6])
if extra > 0 then
  for _, old in ipairs(call('ZRANGE', K.ops, 0, math.min(extra, 100) + 100)) do
    if extra > 0 and not call('ZSCORE', K.ops_due, old) then
      call('UNLINK', K.op .. old, K.op_tasks .. old)
      call('ZREM', K.ops, old)
      extra = extra - 1
    end
  end
end
