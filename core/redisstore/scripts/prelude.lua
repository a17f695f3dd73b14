-- prelude.lua stands before every other script (one text, made when the
-- program starts). It names the keys, reads the clock and gathers what a batch
-- of transitions does to indexes, queues, events and counters, so that each of
-- these is written once per batch and not once per task.
--
-- KEYS   the table of keys.go, the same for every script: whole keys, and
--        families to which an id is added
-- ARGV   [1] how many events the stream keeps
-- A record (K.task .. id) is a hash of short fields; empty ones are left out:
--   st state · fn function · co codec · q queue · pr priority
--   ep epoch · cl claim id (kept by settle, dropped by release) · di dispatcher
--   at attempt · de deliveries · un unstarted vanished releases
--   pg progress: done, total and note, with tabs
--   sl 1 = started under this lease · wo worker · pn its principal · ca 1 = cancel asked for · cg its grace in ms, if its own
--   rt retries · rf, rl first and last wait of the back-off in ms · ro retry-on, with commas · ik hashed idempotency key
--   fk failure kind · ft failure type · ra retried as · tx expires, if ever · ts submitted · td due · tc claimed · tb started · tf finished

local K = {
  task = KEYS[1], spec = KEYS[2], args = KEYS[3], result = KEYS[4], output = KEYS[5],
  index = KEYS[6], all = KEYS[7], failed_of = KEYS[8], done = KEYS[9],
  queues = KEYS[10], ready = KEYS[11], virtual = KEYS[12], line = KEYS[13], claim = KEYS[14],
  events = KEYS[15], counters = KEYS[16], counters_of = KEYS[17], marks = KEYS[18], reap = KEYS[19],
  hint_work = KEYS[20], hint_ended = KEYS[21], hint_cancel = KEYS[22],
  fn = KEYS[23], functions = KEYS[24], fversion = KEYS[25], flatest = KEYS[26],
  fhighest = KEYS[27], fidentity = KEYS[28], body = KEYS[29],
  dispatchers = KEYS[30], dispatchers_seen = KEYS[31], workers = KEYS[32], workers_seen = KEYS[33], drains = KEYS[34], depths = KEYS[35],
  history = KEYS[36], outputs = KEYS[37], dead = KEYS[38], dead_of = KEYS[39], key = KEYS[40],
  expiry = KEYS[41], running = KEYS[42], paused = KEYS[43], parked = KEYS[44], capped = KEYS[45], throttled = KEYS[46],
  rates = KEYS[47], turn = KEYS[48],
  op = KEYS[49], op_tasks = KEYS[50], ops = KEYS[51], ops_due = KEYS[52], removed = KEYS[53],
  unfits = KEYS[54], unfit = KEYS[55],
  follow = KEYS[56], pieces = KEYS[57], hint_follow = KEYS[58], hint_printed = KEYS[59],
}
local ARGV = ARGV -- a local is found faster than a global
local KEEP = tonumber(ARGV[1])
local CHUNK = 512 -- unpack fails near 8,000 values

local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Numbers are written as text where there are many: Lua and Redis print each as a
-- floating point number otherwise, which takes longer than most commands. text is for
-- whole numbers, and remembers them.
local texts = {}
local function text(n)
  local t = texts[n]
  if not t then t = string.format('%d', n); texts[n] = t end
  return t
end
local NOW = text(now)

-- many runs one command over any number of arguments and returns its last answer.
local function many(command, key, args)
  local answer
  for i = 1, #args, CHUNK do
    answer = call(command, key, unpack(args, i, math.min(i + CHUNK - 1, #args)))
  end
  return answer
end

-- drain makes the rest of the script count as one that has written already. A
-- server that is out of memory refuses a script at its first growing command
-- unless it wrote before: new work is refused, the end of work is not.
local function drain() call('DEL', K.claim) end

-- Indexes: enter and leave gather, flush writes.
local entering, leaving, gone, ended = {}, {}, {}, {}

local function into(groups, name, a, b)
  local group = groups[name]
  if not group then group = {}; groups[name] = group end
  group[#group + 1] = a
  if b then group[#group + 1] = b end
end
local function enter(state, id, score) into(entering, K.index .. state, score, id) end
local function leave(state, id) into(leaving, K.index .. state, id) end

-- Events: one line each, one stream entry per batch. A field equal to that of
-- the line before is written as "=".
local pieces, noted, heads, totals, totals_of = {}, 0, {}, {}, {}
local last = {}

-- bump adds one to the total of a function, which publish_events adds to the total
-- of all; without a function, to that alone.
local function bump(counter, fn)
  local of = totals
  if fn then
    of = totals_of[fn]
    if not of then of = {}; totals_of[fn] = of end
  end
  of[counter] = (of[counter] or 0) + 1
end

-- observe counts a duration in its bucket: see core.Histogram.
local OCTAVE = 8 / math.log(2)
local buckets = {w = {}, r = {}}
local function observe(histogram, us, fn)
  local n, names = math.floor(OCTAVE * math.log(us + 1)), buckets[histogram]
  if not names[n] then names[n] = histogram .. ':' .. n end
  bump(names[n], fn)
end

-- event notes what happened; counter is the total it adds to, or nil.
local function event(counter, kind, task, fn, worker, dispatcher, attempt, detail, run, wait)
  local head = heads[kind]
  if not head then head = '\n' .. kind .. '\t'; heads[kind] = head end
  local who = task or ''
  if who == last.task and who ~= '' then who = '=' else last.task = who end
  fn, worker, dispatcher = fn or '', worker or '', dispatcher or ''
  attempt, detail, run, wait = attempt or '0', detail or '', run or '', wait or ''
  local rest
  if fn == last.fn and worker == last.worker and dispatcher == last.dispatcher then
    -- Each string that is made costs time by its length: most lines have the rest of
    -- the line before.
    rest = last.rest
    if not rest or attempt ~= last.attempt or detail ~= last.detail or run ~= last.run or wait ~= last.wait then
      rest = (fn == '' and '\t\t' or '\t=\t') .. (worker == '' and '\t' or '=\t') .. (dispatcher == '' and '\t' or '=\t')
        .. attempt .. '\t' .. detail .. '\t' .. run .. '\t' .. wait
      last.rest, last.attempt, last.detail, last.run, last.wait = rest, attempt, detail, run, wait
    end
  else
    local function same(value, old) return value == old and value ~= '' and '=' or value end
    rest = '\t' .. same(fn, last.fn) .. '\t' .. same(worker, last.worker) .. '\t' .. same(dispatcher, last.dispatcher) .. '\t'
      .. attempt .. '\t' .. detail .. '\t' .. run .. '\t' .. wait
    last.fn, last.worker, last.dispatcher, last.rest = fn, worker, dispatcher, nil
  end
  local n = #pieces
  pieces[n + 1], pieces[n + 2], pieces[n + 3] = head, who, rest
  noted = noted + 1
  if counter then bump(counter, fn ~= '' and fn or nil) end
end

-- trim drops the oldest entries when the stream holds more than KEEP events.
-- Entries hold 1 to 1,000 events, so that a length says little: each time the
-- number of all events passes a multiple of KEEP/16, the id of the entry is
-- marked, and the oldest mark tells where to cut. 'trimmed' remembers the last id that was dropped.
local function trim(id)
  local total = call('HINCRBY', K.counters, 'events', text(noted))
  local step = KEEP / 16
  if math.floor(total / step) == math.floor((total - noted) / step) then return end
  if call('RPUSH', K.marks, id) <= 16 then return end
  local cut = call('LPOP', K.marks)
  local dropped = call('XREVRANGE', K.events, '(' .. cut, '-', 'COUNT', 1)
  if #dropped > 0 then
    call('HSET', K.counters, 'trimmed', dropped[1][1])
    call('XTRIM', K.events, 'MINID', cut)
  end
end

local function publish_events()
  if noted == 0 then return end
  pieces[1] = string.sub(pieces[1], 2) -- the first line begins without a line feed
  local id = call('XADD', K.events, '*', 't', NOW, 'e', table.concat(pieces))
  call('HSET', K.counters, 'through', id)
  for fn, of in pairs(totals_of) do
    for counter, n in pairs(of) do
      call('HINCRBY', K.counters_of .. fn, counter, text(n))
      totals[counter] = (totals[counter] or 0) + n
    end
  end
  for counter, n in pairs(totals) do call('HINCRBY', K.counters, counter, text(n)) end
  trim(id)
end

-- Queues. A class is one priority of one function; its name sorts the higher
-- priority first, which decides between equal virtual times. A class whose line is
-- not empty stands in exactly one place:
--   in ready and turn of its queue, which then stands in queues unless it is paused;
--   in capped of its function, as that has as many RUNNING tasks as it may;
--   in throttled, as its function's bucket is empty;
--   in unfit of what its function needs, as a claim was for workers without that.
-- The latter three are parked: parked names the queue. claim parks a class when it is
-- its turn and there is no room; it looks at it again only when there may be.
local waiting, hashes, deeper = {}, {}, {}

-- depth notes that a queue holds n tasks more.
local function depth(queue, n) deeper[queue] = (deeper[queue] or 0) + n end

local function hash(text)
  local h = hashes[text]
  if not h then h = string.sub(redis.sha1hex(text), 1, 20); hashes[text] = h end
  return h
end
local function class_of(priority, fn) return (9 - priority) .. ':' .. fn end

local function line_up(queue, priority, fn, id)
  local classes = waiting[queue]
  if not classes then classes = {}; waiting[queue] = classes end
  into(classes, class_of(priority, fn), id)
  depth(queue, 1)
end

local function cost(class) return 4 ^ (tonumber(string.sub(class, 1, 1)) - 9) end

-- awaken makes a class whose line is no longer empty take part in its queue.
-- Its virtual time is when its first task would be done if it was served from
-- now on. What it had before its line was empty can only be earlier, and need
-- not be remembered. WELCOME is a little less than the whole cost: so it goes before
-- the next task of the class that was served last, and not by chance of its name.
local WELCOME = 15 / 16
local function awaken(queue, class)
  local h = hash(queue)
  local time = tonumber(call('GET', K.virtual .. h)) or 0
  call('ZADD', K.ready .. h, string.format('%.17g', time + WELCOME * cost(class)), class)
  call('ZADD', K.turn .. h, now, class)
  if not call('ZSCORE', K.queues, queue) and call('HEXISTS', K.paused, queue) == 0 then
    local first = call('ZRANGE', K.queues, 0, 0, 'WITHSCORES')
    call('ZADD', K.queues, first[2] or 0, queue)
  end
end

-- unpark lets classes, as parked names them, take part in their queues again.
local function unpark(members)
  for _, member in ipairs(members) do
    local queue = call('HGET', K.parked, member)
    if queue then
      call('HDEL', K.parked, member)
      awaken(queue, string.sub(member, 22)) -- 20 of the hash, and a colon
    end
  end
  if #members > 0 then call('PUBLISH', K.hint_work, '') end
end

-- unpark_capped lets the classes of a function try again for a slot.
local function unpark_capped(fn)
  local members = call('SMEMBERS', K.capped .. fn)
  if #members == 0 then return end
  call('DEL', K.capped .. fn)
  unpark(members)
end

-- unpark_throttled does it for its rate; unpark_due for all classes whose time
-- has come.
local function unpark_throttled(fn)
  local members = {}
  for _, member in ipairs(call('ZRANGE', K.throttled, 0, -1)) do
    if string.sub(member, 24) == fn then members[#members + 1] = member end -- after the priority
  end
  many('ZREM', K.throttled, members)
  unpark(members)
end
local function unpark_due()
  local members = call('ZRANGEBYSCORE', K.throttled, '-inf', now, 'LIMIT', 0, 1000)
  many('ZREM', K.throttled, members)
  unpark(members)
end

-- Limits. running counts the tasks of each function whose state is RUNNING, no
-- more and no less: each transition into and out of that state notes it with runs.
-- rates holds, as the time when the bucket will be full again, what was taken.
local more_running, refunds = {}, {}
local function runs(fn, n) more_running[fn] = (more_running[fn] or 0) + n end

-- refund gives back what the rate counted for a task that was not started.
local function refund(fn) refunds[fn] = (refunds[fn] or 0) + 1 end

local function flush_limits()
  for fn, n in pairs(more_running) do
    if n ~= 0 and call('HINCRBY', K.running, fn, n) <= 0 then call('HDEL', K.running, fn) end
    if n < 0 then unpark_capped(fn) end
  end
  for fn, n in pairs(refunds) do
    local f = call('HMGET', K.fn .. fn, 'rate', 'per')
    local full = f[1] and tonumber(call('HGET', K.rates, fn))
    if full then
      call('HSET', K.rates, fn, string.format('%.17g', full - n * f[2] / f[1]))
      unpark_throttled(fn)
    end
  end
end

-- flush_queues puts the gathered tasks at the end of their lines, or in order
-- of submission before all others.
local function flush_queues(front)
  if not next(waiting) then return end
  for queue, classes in pairs(waiting) do
    for class, ids in pairs(classes) do
      if front then table.sort(ids, function(a, b) return a > b end) end
      local length = many(front and 'LPUSH' or 'RPUSH', K.line .. hash(queue) .. ':' .. class, ids)
      if length == #ids then awaken(queue, class) end
    end
  end
  call('PUBLISH', K.hint_work, '')
end

-- bury and exhume: whether an ended task is a dead letter. One is FAILED,
-- nothing will try it again, and nobody has. One that expired was not to be run
-- so late, so that its end is what its client asked for.
local function bury(id, fn)
  into(entering, K.dead, 0, id)
  into(entering, K.dead_of .. fn, 0, id)
end
local function exhume(id, fn)
  into(leaving, K.dead, id)
  into(leaving, K.dead_of .. fn, id)
end

-- remember adds an attempt that did not end its task to the task's history. r
-- is as for finish, with tc; elapsed is in microseconds or ''; detail is JSON or ''.
-- A task that ends at its first attempt has no history: the record tells all.
local ATTEMPTS, OUTPUTS = 20, 3
local function remember(id, what, r, attempt, elapsed, detail, output)
  local length = call('RPUSH', K.history .. id, table.concat({what, attempt, r.wo or '', r.tc or 0, r.tb or 0, now, elapsed, detail}, '\t'))
  if length > ATTEMPTS then call('LTRIM', K.history .. id, -ATTEMPTS, -1) end
  if output == '' then return end
  call('HSET', K.outputs .. id, attempt, output)
  for _, n in ipairs(call('HKEYS', K.outputs .. id)) do
    if tonumber(n) <= attempt - OUTPUTS then call('HDEL', K.outputs .. id, n) end
  end
end

-- finish ends a task: state, indexes, what waiters and gc look at, the event.
-- r holds fn, at, ts, tb, wo and di of the record, tx when it waited, ft when its failure has a
-- type, and changed when at, tb or wo have to be written; run is the time it ran in microseconds, when its worker
-- measured it.
local endings = {COMPLETED = 'completed', FAILED = 'failed', CANCELLED = 'cancelled'}

local function finish(id, from, to, kind, r, run)
  local key = K.task .. id
  if r.changed and kind == '' and r.tb then -- what almost every task comes to: one command
    call('HSET', key, 'st', to, 'tf', NOW, 'at', r.at, 'tb', text(r.tb), 'wo', r.wo)
  else
    call('HSET', key, 'st', to, 'tf', NOW)
    if kind ~= '' then call('HSET', key, 'fk', kind) end
    if to == 'FAILED' and (r.ft or '') ~= '' then call('HSET', key, 'ft', r.ft) end
    if r.changed then call('HSET', key, 'wo', r.wo) end
    if r.changed and r.tb then call('HSET', key, 'at', r.at, 'tb', text(r.tb)) end
  end
  leave(from, id)
  enter(to, id, '0')
  if from == 'RUNNING' then runs(r.fn, -1) elseif r.tx then into(leaving, K.expiry, id) end
  into(gone, K.done .. (to == 'FAILED' and to or 'COMPLETED'), id)
  if to == 'FAILED' then
    into(entering, K.failed_of .. r.fn, '0', id)
    if kind ~= 'expired' then bury(id, r.fn) end
  end
  ended[#ended + 1] = id
  local wait = ''
  if r.tb then
    wait = math.max(0, r.tb - r.ts)
    run = run or math.max(0, now - r.tb) * 1000
    observe('w', wait * 1000, r.fn)
    observe('r', run, r.fn)
    wait, run = text(wait), text(run)
  end
  event(endings[to], 'task.' .. endings[to], id, r.fn, r.wo, r.di, r.at, kind, run, wait)
end

-- flush_depths writes how many tasks queues hold. Less than none proves that the count
-- had been lost: it begins anew, so that it is right again when the queue is empty at
-- the latest, and is counted as a repair.
local function flush_depths()
  for queue, n in pairs(deeper) do
    local left = n ~= 0 and call('HINCRBY', K.depths, queue, n) or 1
    if left <= 0 then call('HDEL', K.depths, queue) end
    if left < 0 then call('HINCRBY', K.counters, 'repaired', 1) end
  end
end

-- flush writes all that was gathered.
local function flush(front)
  for key, ids in pairs(leaving) do many('ZREM', key, ids) end
  for key, pairs_ in pairs(entering) do many('ZADD', key, pairs_) end
  for key, ids in pairs(gone) do many('RPUSH', key, ids) end
  flush_queues(front)
  flush_limits()
  flush_depths()
  publish_events()
  if #ended > 0 then call('PUBLISH', K.hint_ended, table.concat(ended, ',')) end
end

-- holds compares a lease with a record read as st, ep, cl: 'ok', 'already' when
-- it is the one settled last, or 'stale'.
local function holds(r, epoch, claim)
  if not r[1] or r[2] ~= epoch or r[3] ~= claim then return 'stale' end
  return r[1] == 'RUNNING' and 'ok' or 'already'
end
