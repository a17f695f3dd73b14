-- settle.lua ends leases with what came of them. A task whose cancel was asked
-- for becomes CANCELLED whatever the outcome says.
--
-- uses     text clock drain into record holds index events running history finish
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] result envelope of a cancelled task, [3] a JSON
--          array of forms, which most leases of a batch share: epoch, claim id,
--          worker or '', state, started, jitter from -1 to 1, failure kind or '',
--          failure type or '' as the record keeps it, failure type as it is, and
--          whether more follows; then for each lease: task, ran so many
--          microseconds, result envelope, the number of its form, from 1, and
--          if more follows output envelope or '', what a history keeps of the
--          failure or '', what a history keeps of the output when that is less
--          ('' = all of it)
-- returns  per lease: ok, already or stale
drain()
local verdicts, results = {}, {}

local forms = {}
for n, form in ipairs(cjson.decode(ARGV[3])) do forms[text(n)] = form end

-- start notes a start that renew has not seen.
local function start(id, r, elapsed)
  r.at = text((tonumber(r.at) or 0) + 1)
  r.tb = math.max(r.tc, now - math.floor(elapsed / 1000))
  event('started', 'task.started', id, r.fn, r.wo, r.di, r.at)
end

-- again makes a failed task wait for its next attempt. Its claim id stays, so
-- that the same settlement is known when it comes again.
local function again(id, r, delay, kind, started, elapsed, detail, output)
  remember(id, 'retried', r, started and tonumber(r.at) or 0, elapsed, detail, output)
  change(id, {st = 'DELAYED', at = r.at, wo = '', di = '', tc = '', tb = ''}, {td = now + delay, sl = '', pn = '', pg = ''})
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
  if attempt > (tonumber(f.rt) or 0) or not worth(f.ro, kind, class) then return nil end
  local wait, last = tonumber(f.rf), tonumber(f.rl)
  for _ = 2, attempt do
    if wait >= last then break end
    wait = wait * 2
  end
  wait = math.min(wait, last)
  return math.max(0, math.floor(wait + wait * jitter / 10))
end

local ids, i = {}, 4
while i <= #ARGV do
  ids[#ids + 1] = ARGV[i]
  i = i + (forms[ARGV[i + 3]][10] and 7 or 4)
end
fetch(ids)

i = 4
while i <= #ARGV do
  local id, elapsed, result, form = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], forms[ARGV[i + 3]]
  local output, detail, clipped = '', '', ''
  if form[10] then
    output, detail, clipped = ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
    i = i + 3
  end
  i = i + 4
  local worker, state, started, kind = form[3], form[4], form[5], form[7]
  local f = fields(id)
  local verdict = holds(f, form[1], form[2])
  if verdict == 'ok' then
    local r = {fn = f.fn, at = f.at, wo = f.wo, di = f.di, tc = tonumber(f.tc), tb = tonumber(f.tb), ft = form[8]}
    local delay = nil
    if worker ~= '' then r.wo = worker end
    if started and f.sl ~= '1' then start(id, r, elapsed) end
    if f.ca == '1' and state ~= 'CANCELLED' then
      state, kind, result = 'CANCELLED', 'cancelled', ARGV[2]
    end
    if state == 'FAILED' and (started or f.sl == '1') then
      if f.rt then
        r.tx = f.tx
        delay = retry_in(f, tonumber(r.at) or 0, kind, form[9], form[6])
      end
    end
    if delay then
      again(id, r, delay, kind, started or f.sl == '1', elapsed, detail, clipped ~= '' and clipped or output)
    else
      results[#results + 1] = K.result .. id
      results[#results + 1] = result
      if output ~= '' then call('SET', K.output .. id, output) end
      finish(id, 'RUNNING', state, kind, f, r, started and elapsed or nil)
    end
  end
  verdicts[#verdicts + 1] = verdict
end
for j = 1, #results, CHUNK do call('MSET', unpack(results, j, math.min(j + CHUNK - 1, #results))) end
flush(false)
return verdicts
