-- pausequeue.lua stops and resumes the handing out of a queue's tasks. A paused
-- queue takes tasks, but does not stand in queues, where claim looks.
--
-- uses     clock into hash index events
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] queue, [3] 1 = pause, 0 = resume
-- returns  1, or 0 when it was so already
local queue = ARGV[2]
local paused = call('HEXISTS', K.paused, queue) == 1
if paused == (ARGV[3] == '1') then return 0 end
if ARGV[3] == '1' then
  call('HSET', K.paused, queue, now)
  call('ZREM', K.queues, queue)
else
  call('HDEL', K.paused, queue)
  local h, first = hash(queue), call('ZRANGE', K.queues, 0, 0, 'WITHSCORES')
  if call('EXISTS', K.ready .. h) == 1 then call('ZADD', K.queues, first[2] or 0, queue) end
  -- That it waited is nobody's fault: no class of it is old.
  for _, class in ipairs(call('ZRANGE', K.turn .. h, 0, -1)) do into(entering, K.turn .. h, now, class) end
  call('PUBLISH', K.hint_work, '')
end
event(nil, ARGV[3] == '1' and 'queue.paused' or 'queue.resumed', '', '', nil, nil, nil, queue)
flush(false)
return 1
