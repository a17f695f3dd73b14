-- claim.lua hands out queued tasks: queues share by turns, and the classes of a
-- queue by stride scheduling (a task of priority p costs 4^-p of virtual time,
-- the class whose next task is done first goes first). A class that had no turn for
-- long goes before all others, for one task. A class without room under its
-- function's limits, or that fits none of the workers that the claim is for, is parked
-- (see parts/awaken.lua): so it is looked at once and not by every claim. A claim that is
-- repeated under the same id answers with the same tasks.
--
-- uses     text clock drain into hash record index events awaken depth unthrottle running overdue
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] claim id, [3] dispatcher, [4] at most so many,
--          [5] lease in ms, [6] how long the claim is remembered, in ms,
--          [7] how many entries of the lines may be looked at, [8] result
--          envelope of an expired task, [9] ms without a turn that are long,
--          [10] how many tasks each class of workers takes, with commas ('' = all
--          fit), then pairs: needs, and a digit for each class: 1 = it fits
-- returns  [1] 1 when the bound [7] ended the search, else 0, [2] needs that were met
--          and are not in ARGV: these classes are parked until they are, then for
--          each task: id, epoch, attempt, spec envelope (false when it is missing)
local claim, dispatcher, max, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local budget = tonumber(ARGV[7])
local taken, unknown = {}, {}
local answers = {0, unknown}

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
    local r = fields(id)
    if r.st == 'RUNNING' and r.cl == claim then taken[#taken + 1] = {id, r.ep, r.at == '' and '0' or r.at} end
  end
  return answer()
end

drain()
local until_ = text(now + lease)

-- The room that the workers have.
local rooms, fitting, asked = nil, {}, {}
if ARGV[10] ~= '' then
  rooms = {}
  local all = 0
  for n in string.gmatch(ARGV[10], '%d+') do
    rooms[#rooms + 1] = tonumber(n)
    all = all + tonumber(n)
  end
  max = math.min(max, all)
  for i = 11, #ARGV, 2 do fitting[ARGV[i]] = ARGV[i + 1] end
end

-- fit says how many tasks with such needs (false = none) the workers can take;
-- charge takes n of them off, from the first classes that fit.
local function fits(needs, i) return not needs or string.byte(fitting[needs], i) == 49 end
local function fit(needs)
  if not rooms then return max end
  if needs and not fitting[needs] then
    if not asked[needs] then asked[needs] = true; unknown[#unknown + 1] = needs end
    return 0
  end
  local n = 0
  for i, free in ipairs(rooms) do
    if fits(needs, i) then n = n + free end
  end
  return n
end
local function charge(needs, n)
  if not rooms then return end
  for i, free in ipairs(rooms) do
    if n > 0 and fits(needs, i) then
      local k = math.min(n, free)
      rooms[i], n = free - k, n - k
    end
  end
end

-- accept claims those of ids, out of a queue, that are still queued and returns how many.
local held = {} -- the new record of those that are alike
local function accept(queue, ids)
  local n = 0
  fetch(ids)
  for _, id in ipairs(ids) do
    local r = fields(id)
    if r.st == 'QUEUED' and r.tx and tonumber(r.tx) <= now then
      overdue(id, 'QUEUED', ARGV[8])
    elseif r.st == 'QUEUED' then
      if r.tx then into(leaving, K.expiry, id) end
      runs(r.fn, 1)
      local epoch, record = text((tonumber(r.ep) or 0) + 1), held[r]
      if not record then
        record = close_record('RUNNING', epoch, claim, plain(dispatcher), NOW, r.at, r.tb, plain(r.wo), r.tf, r.ts, r.tail)
        held[r] = record
      end
      keep(id, record)
      leave('QUEUED', id)
      depth(queue, -1)
      enter('RUNNING', id, until_)
      local attempt = r.at == '' and '0' or r.at
      event(nil, 'task.claimed', id, r.fn, nil, dispatcher, attempt)
      taken[#taken + 1] = {id, epoch, attempt}
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
    classes[#classes + 1] = {tonumber(top[i + 1]), top[i], step = cost(top[i]), line = K.line .. h .. ':' .. top[i], fn = string.sub(top[i], 3)}
  end
  return classes, classes[WIDTH + 1] and table.remove(classes)
end

-- The room that a function has: its policy, what runs and what is in its bucket,
-- read with its needs when one of its classes is first looked at; more_running tells what
-- this claim has added. full is when its bucket will be full, interval the time in
-- which it gains a task, burst how much it holds.
local limits = {}
local function limits_of(fn)
  local l = limits[fn]
  if not l then
    local f = call('HMGET', K.fn .. fn, 'cap', 'rate', 'per', 'needs')
    l = {needs = f[4], cap = tonumber(f[1]), running = f[1] and tonumber(call('HGET', K.running, fn) or 0)}
    if f[2] then
      l.interval = f[3] / f[2]
      l.burst = math.max(1, math.floor(f[2] * 1000 / f[3]))
      l.full = math.max(now, tonumber(call('HGET', K.rates, fn)) or 0)
    end
    limits[fn] = l
  end
  return l
end

-- room says how many of want tasks of a function may be handed out now; when none,
-- also when it may be tried again, nil = when one has ended.
local function room(fn, want)
  local l = limits_of(fn)
  if l.cap then
    want = math.min(want, l.cap - l.running - (more_running[fn] or 0))
    if want <= 0 then return 0, nil end
  end
  if l.full then
    local tokens = math.floor(l.burst - (l.full - now) / l.interval + 1e-6)
    if tokens <= 0 then return 0, math.ceil(l.full + l.interval - l.burst * l.interval) end
    want = math.min(want, tokens)
  end
  return want
end

local function spend(fn, n)
  local l = limits[fn]
  if l.full and n > 0 then
    l.full = l.full + n * l.interval
    call('HSET', K.rates, fn, string.format('%.17g', l.full))
  end
end

local function forget(h, class)
  call('ZREM', K.ready .. h, class)
  call('ZREM', K.turn .. h, class)
end

local function park(queue, h, class, fn, at)
  forget(h, class)
  local member = h .. ':' .. class
  call('HSET', K.parked, member, queue)
  if at then call('ZADD', K.throttled, at, member) else call('SADD', K.capped .. fn, member) end
end

-- strand parks a class that fits none of the workers with room. It keeps its place:
-- another claim, of other workers, may serve it in between.
local function strand(queue, h, class, needs, time, turn)
  local place = string.format('%.17g', time) .. ' ' .. (turn or call('ZSCORE', K.turn .. h, class) or now)
  forget(h, class)
  local member = h .. ':' .. class
  call('HSET', K.parked, member, queue)
  call('HSET', K.unfits, hash(needs), needs)
  call('HSET', K.unfit .. hash(needs), member, place)
end

-- unstrand has those take part again that fit now, some hundred at a time.
local function unstrand()
  local all = call('HGETALL', K.unfits)
  for i = 1, #all, 2 do
    local h, needs = all[i], all[i + 1]
    if fit(needs) > 0 then
      local members = call('HRANDFIELD', K.unfit .. h, 500, 'WITHVALUES')
      for j = 1, #members, 2 do
        local member, time, turn = members[j], string.match(members[j + 1], '(%S+) (%S+)')
        local queue, of, class = call('HGET', K.parked, member), string.sub(member, 1, 20), string.sub(member, 22)
        call('HDEL', K.unfit .. h, member)
        call('HDEL', K.parked, member)
        if queue then
          awaken(queue, class)
          time = math.max(tonumber(time), tonumber(call('GET', K.virtual .. of)) or 0)
          call('ZADD', K.ready .. of, string.format('%.17g', time), class)
          call('ZADD', K.turn .. of, turn, class)
        end
      end
      if call('EXISTS', K.unfit .. h) == 0 then call('HDEL', K.unfits, h) end
    end
  end
end

-- rescue hands out one task of each class that had no turn for long, the longest
-- first. It is no turn: virtual times stay.
local function rescue(queue, h, want)
  local got = 0
  while got < want and budget > 0 do
    local oldest = call('ZRANGEBYSCORE', K.turn .. h, '-inf', now - tonumber(ARGV[9]), 'LIMIT', 0, 1)[1]
    if not oldest then break end
    local fn, line = string.sub(oldest, 3), K.line .. h .. ':' .. oldest
    local needs = limits_of(fn).needs
    local n, at = room(fn, 1)
    budget = budget - 1
    if fit(needs) == 0 then
      strand(queue, h, oldest, needs, tonumber(call('ZSCORE', K.ready .. h, oldest)) or 0)
    elseif n == 0 then
      park(queue, h, oldest, fn, at)
    else
      local k = accept(queue, call('LPOP', line, 1) or {})
      got = got + k
      charge(needs, k)
      spend(fn, k)
      if call('EXISTS', line) == 0 then forget(h, oldest)
      elseif k > 0 then call('ZADD', K.turn .. h, now, oldest) end
    end
  end
  return got
end

-- serve takes up to want tasks from a queue; it returns how many, and whether
-- the queue is empty now.
local function serve(queue, want)
  local h, time = hash(queue), nil
  local got = rescue(queue, h, want)
  local classes, limit = load(h)
  local served = {}
  while got < want and budget > 0 do
    local best, place, rival = first_two(classes)
    if not best or limit and earlier(limit, best) then break end
    if limit and (not rival or earlier(limit, rival)) then rival = limit end
    local needs = limits_of(best.fn).needs
    local free = fit(needs)
    local n, at = room(best.fn, math.min(turns(best, rival, want - got), budget, CHUNK, free))
    if free == 0 then n = 0 end
    local ids = n > 0 and call('LPOP', best.line, n) or {}
    local k = accept(queue, ids)
    charge(needs, k)
    spend(best.fn, k)
    budget, got = budget - math.max(#ids, 1), got + k
    if k > 0 then
      time = best[1] + (k - 1) * best.step
      best[1] = best[1] + k * best.step
      served[best] = true
    end
    if n == 0 or #ids < n or call('EXISTS', best.line) == 0 then
      table.remove(classes, place)
      local turn = served[best] and now
      served[best] = nil
      if free == 0 then strand(queue, h, best[2], needs, best[1], turn)
      elseif n == 0 then park(queue, h, best[2], best.fn, at) else forget(h, best[2]) end
    end
  end
  for c in pairs(served) do
    call('ZADD', K.ready .. h, string.format('%.17g', c[1]), c[2])
    call('ZADD', K.turn .. h, now, c[2])
  end
  if time then call('SET', K.virtual .. h, string.format('%.17g', time), 'EX', 604800) end
  return got, #classes == 0 and not limit
end

unpark_due()
unstrand()

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
