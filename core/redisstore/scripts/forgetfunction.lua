-- forgetfunction.lua forgets functions that were removed long ago and whose tasks
-- have all ended: record, counters, limits, and the body when no other function has
-- the same.
--
-- uses     clock drain hash
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] kept for so many ms after the removal, [3] at most
--          so many
-- returns  how many were forgotten
drain()
local old = call('ZRANGEBYSCORE', K.removed, '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, tonumber(ARGV[3]))
local forgotten = 0

-- busy says whether a function has tasks that have not ended.
local function busy(id)
  local c = call('HMGET', K.counters_of .. id, 'submitted', 'completed', 'failed', 'cancelled')
  return (tonumber(c[1]) or 0) > (tonumber(c[2]) or 0) + (tonumber(c[3]) or 0) + (tonumber(c[4]) or 0)
end

local function body_of(id)
  local doc = call('HGET', K.fn .. id, 'doc')
  return doc and cjson.decode(doc).body_hash
end

-- shared says whether another function has a body. Removals are rare, and functions
-- not many.
local function shared(body)
  for _, ids in ipairs({call('HKEYS', K.functions), call('ZRANGE', K.removed, 0, -1)}) do
    for _, id in ipairs(ids) do
      if body_of(id) == body then return true end
    end
  end
  return false
end

-- unline forgets the lines of a function that are parked, and so looked at by no
-- claim: only tasks that have ended stand there.
local function unline(id)
  local needs = call('HGET', K.fn .. id, 'needs')
  for _, member in ipairs(call('HKEYS', K.parked)) do
    if string.sub(member, 24) == id then
      call('UNLINK', K.line .. member)
      call('HDEL', K.parked, member)
      call('ZREM', K.throttled, member)
      if needs then call('HDEL', K.unfit .. hash(needs), member) end
    end
  end
  call('UNLINK', K.capped .. id)
end

for _, id in ipairs(old) do
  if busy(id) then
    call('ZADD', K.removed, now, id) -- and so looked at again after the same time
  else
    unline(id)
    local body, name = body_of(id), call('HGET', K.fn .. id, 'name')
    call('ZREM', K.removed, id)
    if body and not shared(body) then call('UNLINK', K.body .. body) end
    if name and not call('HGET', K.flatest, name) then call('HDEL', K.fhighest, name) end
    call('UNLINK', K.fn .. id, K.counters_of .. id)
    call('HDEL', K.rates, id)
    forgotten = forgotten + 1
  end
end
return forgotten
