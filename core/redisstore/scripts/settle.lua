-- settle.lua ends leases with what came of them. A task whose cancel was asked
-- for becomes CANCELLED whatever the outcome says.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] result envelope of a cancelled task, then for
--          each lease: task, epoch, claim id, worker or '', state,
--          1 = started, ran so many microseconds, jitter from -1 to 1,
--          failure kind or '', result envelope, output envelope or '',
--          failure type or '' as the record keeps it, what a history keeps of
--          the failure or '', failure type as it is, what a history keeps of
--          the output when that is less ('' = all of it)
-- returns  per lease: ok, already or stale
drain()
local verdicts = {}

-- start notes a start that renew has not seen.
local function start(id, r, elapsed)
  r.at = (tonumber(r.at) or 0) + 1
  r.tb = math.max(r.tc, now - math.floor(elapsed / 1000))
  r.changed = true
  event('started', 'task.started', id, r.fn, r.wo, r.di, r.at)
end

-- again makes a failed task wait for its next attempt. Its claim id stays, so
-- that the same settlement is known when it comes again.
local function again(id, r, delay, kind, started, elapsed, detail, output)
  local key = K.task .. id
  remember(id, 'retried', r, started and tonumber(r.at) or 0, elapsed, detail, output)
  call('HSET', key, 'st', 'DELAYED', 'td', now + delay, 'at', r.at or 0)
  call('HDEL', key, 'sl', 'wo', 'pn', 'di', 'tc', 'tb', 'pg')
  leave('RUNNING', id)
  enter('DELAYED', id, now + delay)
  runs(r.fn, -1)
  if r.tx then into(entering, K.expiry, r.tx, id) end
  event('retried', 'task.retried', id, r.fn, r.wo, r.di, r.at, kind)
end

-- worth says whether retry-on names a failure, by its kind or its class; absent,
-- it names every one.
local function worth(names, kind, class)
  if not names then return true end
  names = ',' .. names .. ','
  local function named(name)
    return name ~= '' and not string.find(name, ',', 1, true) and string.find(names, ',' .. name .. ',', 1, true)
  end
  return named(kind) or named(class) or named(string.match(class, '[^.]*$'))
end

-- retry_in is core.Spec.RetryIn: after how many ms a failed attempt is tried
-- again, or nil.
local function retry_in(f, attempt, kind, class, jitter)
  if attempt > tonumber(f[13] or 0) or not worth(f[16], kind, class) then return nil end
  local wait, last = tonumber(f[14]), tonumber(f[15])
  for _ = 2, attempt do
    if wait >= last then break end
    wait = wait * 2
  end
  wait = math.min(wait, last)
  return math.max(0, math.floor(wait + wait * jitter / 10))
end

for i = 3, #ARGV, 15 do
  local id, worker, state = ARGV[i], ARGV[i + 3], ARGV[i + 4]
  local key = K.task .. id
  local f = call('HMGET', key, 'st', 'ep', 'cl', 'ca', 'sl', 'at', 'fn', 'wo', 'di', 'tc', 'tb', 'ts', 'rt', 'rf', 'rl', 'ro', 'tx')
  local verdict = holds(f, ARGV[i + 1], ARGV[i + 2])
  if verdict == 'ok' then
    local r = {fn = f[7], at = f[6], wo = f[8], di = f[9], tc = tonumber(f[10]), tb = tonumber(f[11]), ts = tonumber(f[12])}
    local started, elapsed, kind = ARGV[i + 5] == '1', tonumber(ARGV[i + 6]), ARGV[i + 8]
    local result, delay = ARGV[i + 9], nil
    r.ft = ARGV[i + 11]
    if worker ~= '' and worker ~= r.wo then r.wo, r.changed = worker, true end
    r.wo = r.wo or ''
    if started and f[5] ~= '1' then start(id, r, elapsed) end
    if f[4] == '1' and state ~= 'CANCELLED' then
      state, kind, result = 'CANCELLED', 'cancelled', ARGV[2]
    end
    if state == 'FAILED' and f[13] and (started or f[5] == '1') then
      delay = retry_in(f, tonumber(r.at), kind, ARGV[i + 13], tonumber(ARGV[i + 7]))
    end
    if delay then
      r.tx = f[17]
      again(id, r, delay, kind, started or f[5] == '1', elapsed, ARGV[i + 12], ARGV[i + 14] ~= '' and ARGV[i + 14] or ARGV[i + 10])
    else
      call('SET', K.result .. id, result)
      if ARGV[i + 10] ~= '' then call('SET', K.output .. id, ARGV[i + 10]) end
      finish(id, 'RUNNING', state, kind, r, started and elapsed or nil)
    end
  end
  verdicts[#verdicts + 1] = verdict
end
flush(false)
return verdicts
