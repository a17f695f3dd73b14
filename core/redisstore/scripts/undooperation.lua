-- undooperation.lua makes a pending operation undone, and a retry undoing.
--
-- uses     clock journal
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept (not used), [2] id
-- returns  ok (also when it is so already), unknown, late (it has taken effect
--          and is no retry) or old (which tasks it made is not kept any more)
local op = ARGV[2]
local o = call('HMGET', K.op .. op, 'st', 'ki', 'n')
local state = o[1]
if not state then return 'unknown' end
if state == 'undone' or state == 'undoing' then return 'ok' end
if state == 'pending' then
  close(op, 'undone')
  return 'ok'
end
if o[2] ~= 'retry' then return 'late' end
if tonumber(o[3] or 0) > 0 and call('EXISTS', K.op_tasks .. op) == 0 then return 'old' end
call('HSET', K.op .. op, 'st', 'undoing', 'ua', 0)
call('HDEL', K.op .. op, 'en')
call('ZADD', K.ops_due, now, op)
return 'ok'
