-- claim.lua hands out queued tasks: queues share by turns, and the classes of a
-- queue by stride scheduling (a task of priority p costs 4^-p of virtual time,
-- the class whose next task is done first goes first). A claim that is repeated under the
-- same id answers with the same tasks.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] claim id, [3] dispatcher, [4] at most so many,
--          [5] lease in ms, [6] how long the claim is remembered, in ms,
--          [7] how many entries of the lines may be looked at
-- returns  [1] 1 when the bound [7] ended the search, else 0, then for each
--          task: id, epoch, attempt, spec envelope (false when it is missing)
local claim, dispatcher, max, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local budget = tonumber(ARGV[7])
local taken, answers = {}, {0}

local function answer()
  for i = 1, #taken, CHUNK do
    local names, last = {}, math.min(i + CHUNK - 1, #taken)
    for j = i, last do names[#names + 1] = K.spec .. taken[j][1] end
    local specs = call('MGET', unpack(names))
    for j = i, last do
      local t = taken[j]
      answers[#answers + 1] = t[1]
      answers[#answers + 1] = t[2]
      answers[#answers + 1] = t[3]
      answers[#answers + 1] = specs[j - i + 1]
    end
  end
  return answers
end

-- A repetition: those of its tasks that are still held under it.
local repeated = call('GET', K.claim .. claim)
if repeated then
  for id in string.gmatch(repeated, '[^,]+') do
    local r = call('HMGET', K.task .. id, 'st', 'cl', 'ep', 'at')
    if r[1] == 'RUNNING' and r[2] == claim then taken[#taken + 1] = {id, r[3], r[4] or '0'} end
  end
  return answer()
end

drain()
local until_ = now + lease

-- accept claims those of ids, out of a queue, that are still queued and returns how many.
local function accept(queue, ids)
  local n = 0
  for _, id in ipairs(ids) do
    local key = K.task .. id
    local r = call('HMGET', key, 'st', 'fn', 'ep', 'at')
    if r[1] == 'QUEUED' then
      local epoch = (tonumber(r[3]) or 0) + 1
      call('HSET', key, 'st', 'RUNNING', 'ep', epoch, 'cl', claim, 'di', dispatcher, 'tc', now)
      leave('QUEUED', id)
      depth(queue, -1)
      enter('RUNNING', id, until_)
      event(nil, 'task.claimed', id, r[2], nil, dispatcher, r[4])
      taken[#taken + 1] = {id, epoch, r[4] or '0'}
      n = n + 1
    end
  end
  return n
end

-- earlier says whether class a comes before class b: {virtual time, name}.
local function earlier(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end

-- first_two returns the class to serve, its place, and the one after it.
local function first_two(classes)
  local best, place, rival
  for i, c in ipairs(classes) do
    if not best or earlier(c, best) then best, place, rival = c, i, best
    elseif not rival or earlier(c, rival) then rival = c end
  end
  return best, place, rival
end

-- turns says how many tasks best may have before it is rival's turn.
local function turns(best, rival, want)
  if not rival then return want end
  local n = math.floor((rival[1] - best[1]) / best.step)
  if earlier({best[1] + n * best.step, best[2]}, rival) then n = n + 1 end
  return math.max(1, math.min(n, want))
end

-- load reads the classes of a queue that come first, and the one after them.
local WIDTH = 64
local function load(h)
  local classes, top = {}, call('ZRANGE', K.ready .. h, 0, WIDTH, 'WITHSCORES')
  for i = 1, #top, 2 do
    classes[#classes + 1] = {tonumber(top[i + 1]), top[i], step = cost(top[i]), line = K.line .. h .. ':' .. top[i]}
  end
  return classes, classes[WIDTH + 1] and table.remove(classes)
end

-- serve takes up to want tasks from a queue; it returns how many, and whether
-- the queue is empty now.
local function serve(queue, want)
  local h, got, time = hash(queue), 0, nil
  local classes, limit = load(h)
  local served = {}
  while got < want and budget > 0 do
    local best, place, rival = first_two(classes)
    if not best or limit and earlier(limit, best) then break end
    if limit and (not rival or earlier(limit, rival)) then rival = limit end
    local n = math.min(turns(best, rival, want - got), budget, CHUNK)
    local ids = call('LPOP', best.line, n) or {}
    local k = accept(queue, ids)
    budget, got = budget - math.max(#ids, 1), got + k
    if k > 0 then
      time = best[1] + (k - 1) * best.step
      best[1] = best[1] + k * best.step
      served[best] = true
    end
    if #ids < n or call('EXISTS', best.line) == 0 then
      table.remove(classes, place)
      served[best] = nil
      call('ZREM', K.ready .. h, best[2])
    end
  end
  for c in pairs(served) do call('ZADD', K.ready .. h, string.format('%.17g', c[1]), c[2]) end
  if time then call('SET', K.virtual .. h, string.format('%.17g', time)) end
  return got, #classes == 0 and not limit
end

-- The queues that had least go first, each for an even share of what is left.
while #taken < max and budget > 0 do
  local queues = call('ZRANGE', K.queues, 0, 31, 'WITHSCORES')
  if #queues == 0 then break end
  for i = 1, #queues, 2 do
    local left = (#queues - i + 1) / 2
    local want = math.ceil((max - #taken) / left)
    if want < 1 or budget < 1 then break end
    local got, empty = serve(queues[i], want)
    if empty then call('ZREM', K.queues, queues[i])
    elseif #queues > 2 then call('ZINCRBY', K.queues, got, queues[i]) end
  end
end

if #taken > 0 then
  local ids = {}
  for i, t in ipairs(taken) do ids[i] = t[1] end
  call('SET', K.claim .. claim, table.concat(ids, ','), 'PX', ARGV[6])
elseif budget <= 0 then
  answers[1] = 1
end
flush(false)
return answer()
