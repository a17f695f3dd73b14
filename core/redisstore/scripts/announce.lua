-- announce.lua notes that a dispatcher and its workers are there, with the time
-- by the server's clock, and forgets those that were not seen for long.
--
-- uses     clock many drain into index events
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] dispatcher, [3] its document, [4] 1 = it is
--          leaving, [5] forget after so many ms, [6] how many workers follow,
--          for each: id, document; then for each event: kind, task, function,
--          worker, dispatcher, attempt, detail
-- returns  which of the workers somebody wants drained
drain()
local workers = tonumber(ARGV[6])

if ARGV[4] == '1' then
  call('HDEL', K.dispatchers, ARGV[2])
  call('ZREM', K.dispatchers_seen, ARGV[2])
else
  call('HSET', K.dispatchers, ARGV[2], ARGV[3])
  call('ZADD', K.dispatchers_seen, now, ARGV[2])
end

local names, last = {}, 6 + 2 * workers
for i = 7, last, 2 do
  into(entering, K.workers_seen, now, ARGV[i])
  names[#names + 1] = ARGV[i]
  call('HSET', K.workers, ARGV[i], ARGV[i + 1])
end
for i = last + 1, #ARGV, 7 do
  event(nil, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
end
flush(false)

local function forget(seen, documents)
  local old = call('ZRANGEBYSCORE', seen, '-inf', now - tonumber(ARGV[5]), 'LIMIT', 0, 1000)
  many('HDEL', documents, old)
  many('ZREM', seen, old)
  return old
end
forget(K.dispatchers_seen, K.dispatchers)
many('SREM', K.drains, forget(K.workers_seen, K.workers))

local wanted = {}
if call('EXISTS', K.drains) == 1 then
  for _, id in ipairs(names) do
    if call('SISMEMBER', K.drains, id) == 1 then wanted[#wanted + 1] = id end
  end
end
return wanted
