-- reconcile.lua compares indexes with the records that they are made of, and
-- repairs them: the record is right. Each thing is looked at and repaired in one
-- step, so that transitions, which are scripts as well, are never mistaken for damage.
--
-- uses     clock drain hash class record awaken unpark uncap
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] what to look at, [3] lease in ms that a task gets
--          whose lease is not known, [4] and [5] for how many ms completed and
--          failed tasks are kept at most, [6] the key of an index or '', then names:
--            records  task ids
--            members  members of the index [6], which are task ids
--            classes  hashed queue and class, as parked names them
--            counts   none
-- returns  how many of the names were looked at, then for each repair: what, of which
drain()
local repairs, done = {}, 0
local function repaired(what, of)
  repairs[#repairs + 1] = what
  repairs[#repairs + 1] = of
end

-- Searching a long line from end to end is bounded.
local searches, SEARCHES = 0, 4

-- in_line says whether a line holds a task. Most are in order of their ids.
local function in_line(line, id)
  local low, high = 0, call('LLEN', line) - 1
  while low <= high do
    local middle = math.floor((low + high) / 2)
    local found = call('LINDEX', line, middle)
    if found == id then return true end
    if found < id then low = middle + 1 else high = middle - 1 end
  end
  searches = searches + 1
  return call('LPOS', line, id) and true or false
end

-- should compares the place of a task in a sorted set with where it belongs;
-- score is nil when it does not.
local function should(key, id, score, what)
  local there = call('ZSCORE', key, id)
  if there and not score then
    call('ZREM', key, id)
    repaired(what, id)
  elseif score and not there then
    call('ZADD', key, score, id)
    repaired(what, id)
  end
end

local STATES = {'QUEUED', 'DELAYED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'}

-- forgettable notes a task that ended so long ago that it must stand in the list of
-- gc, if it were there, before the first that does.
local function forgettable(id, state, finished)
  local line = K.done .. (state == 'FAILED' and state or 'COMPLETED')
  local border = now - tonumber(state == 'FAILED' and ARGV[5] or ARGV[4])
  if not finished or finished > border then return end
  local first = call('LINDEX', line, 0)
  local oldest = first and tonumber(fields(first).tf)
  if first and (not oldest or oldest <= border) then return end -- gc is busy
  call('LPUSH', line, id)
  repaired('done', id)
end

-- uncounted says that a task was put back into its line. What lost it may have left it
-- out of the depth as well, and a claim would take it off there.
local uncounted = false

local function record(id)
  local f = fields(id)
  local state, fn = f.st, f.fn
  if not state then return end
  should(K.all, id, 0, 'all')
  local score = {DELAYED = f.td or now, RUNNING = now + tonumber(ARGV[3])}
  for _, s in ipairs(STATES) do should(K.index .. s, id, s == state and (score[s] or 0) or nil, s) end
  local failed = state == 'FAILED' and 0 or nil
  should(K.failed_of .. fn, id, failed, 'failed-of')
  local dead = failed and f.fk ~= 'expired' and not f.ra and 0 or nil
  should(K.dead, id, dead, 'dead')
  should(K.dead_of .. fn, id, dead, 'dead-of')
  should(K.expiry, id, (state == 'QUEUED' or state == 'DELAYED') and f.tx or nil, 'expiry')
  if state == 'QUEUED' then
    local class = class_of(f.pr, fn)
    local line = K.line .. hash(f.q) .. ':' .. class
    if not in_line(line, id) then
      if call('LPUSH', line, id) == 1 then awaken(f.q, class) end
      call('PUBLISH', K.hint_work, '')
      repaired('line', id)
      uncounted = true
    end
  elseif state ~= 'DELAYED' and state ~= 'RUNNING' then
    forgettable(id, state, tonumber(f.tf))
  end
end

local function member(id)
  if call('EXISTS', K.task .. id) == 0 then
    call('ZREM', ARGV[6], id)
    repaired('member', id)
  end
end

-- queue_of finds the name of the queue that a line belongs to.
local function queue_of(h, line)
  for _, id in ipairs(call('LRANGE', line, 0, 9)) do
    local queue = fields(id).q
    if queue and hash(queue) == h then return queue end
  end
end

-- waits says whether a parked class has what it waits for.
local function waits(name, fn)
  if call('ZSCORE', K.throttled, name) then return true end
  local needs = call('HGET', K.fn .. fn, 'needs')
  if needs and call('HEXISTS', K.unfit .. hash(needs), name) == 1 then return call('HEXISTS', K.unfits, hash(needs)) == 1 end
  if call('SISMEMBER', K.capped .. fn, name) == 0 then return false end
  local cap = tonumber(call('HGET', K.fn .. fn, 'cap'))
  return cap and tonumber(call('HGET', K.running, fn) or 0) >= cap
end

local function class(name)
  local h, c = string.sub(name, 1, 20), string.sub(name, 22)
  local line = K.line .. name
  if call('EXISTS', line) == 0 then return end
  local fn = string.sub(c, 3)
  if call('HEXISTS', K.parked, name) == 1 then
    if not waits(name, fn) then
      local needs = call('HGET', K.fn .. fn, 'needs')
      if needs then call('HDEL', K.unfit .. hash(needs), name) end
      call('SREM', K.capped .. fn, name)
      unpark({name})
      repaired('parked', name)
    end
    return
  end
  local queue = queue_of(h, line)
  if not queue then return end
  local lost = call('HEXISTS', K.paused, queue) == 0 and not call('ZSCORE', K.queues, queue)
  if not call('ZSCORE', K.ready .. h, c) or not call('ZSCORE', K.turn .. h, c) or lost then
    awaken(queue, c)
    call('PUBLISH', K.hint_work, '')
    repaired('class', name)
  end
end

-- tally counts the tasks of a state by a field of their records.
local function tally(state, name)
  local counts = {}
  for _, id in ipairs(call('ZRANGE', K.index .. state, 0, -1)) do
    local r = fields(id)
    if r.st == state then counts[r[name]] = (counts[r[name]] or 0) + 1 end
    release(id)
  end
  return counts
end

-- right makes a hash of counts what was counted, and calls lower for each that was
-- too high.
local function right(key, counts, what, lower)
  local have = call('HGETALL', key)
  for i = 1, #have, 2 do
    local name, n = have[i], tonumber(have[i + 1])
    if n ~= (counts[name] or 0) then
      if counts[name] then call('HSET', key, name, counts[name]) else call('HDEL', key, name) end
      if n > (counts[name] or 0) then lower(name) end
      repaired(what, name)
    end
    counts[name] = nil
  end
  for name, n in pairs(counts) do
    call('HSET', key, name, n)
    repaired(what, name)
  end
end

-- Counting needs all tasks of a state at once. Of many that wait, it is done only
-- when the sum says that something is wrong.
local FEW, MANY = 5000, 100000
local function counts()
  if call('ZCARD', K.index .. 'RUNNING') <= MANY then
    right(K.running, tally('RUNNING', 'fn'), 'running', unpark_capped)
  end
  local queued, sum = call('ZCARD', K.index .. 'QUEUED'), 0
  for _, n in ipairs(call('HVALS', K.depths)) do sum = sum + tonumber(n) end
  if queued <= FEW or sum ~= queued and queued <= MANY then
    right(K.depths, tally('QUEUED', 'q'), 'depth', function() end)
  end
end

if ARGV[2] == 'counts' then counts() end
local look = {records = record, members = member, classes = class}
for i = 7, #ARGV do
  if searches >= SEARCHES then break end
  look[ARGV[2]](ARGV[i])
  done = done + 1
end
if uncounted then counts() end
if #repairs > 0 then call('HINCRBY', K.counters, 'repaired', #repairs / 2) end
return {done, unpack(repairs, 1, math.min(#repairs, 4000))}
