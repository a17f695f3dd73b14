-- submit.lua accepts tasks. An id that exists already is left alone, so that a
-- submit whose answer was lost can be repeated.
--
-- uses     text clock into record index events lines dead
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] a JSON array of forms, which most tasks of a batch
--          share: function, codec, queue, priority, delay in ms, the ended task that
--          it runs again (else ''), retries, first and last wait of the back-off in
--          ms, retry-on or '', hashed idempotency key or '', hash of the body,
--          expires so many ms after it was submitted or due (0 = never), due at that
--          time in ms (0 = after the delay); then for each task: id, spec envelope,
--          arguments when they are not in the envelope (else ''), the number of
--          its form, from 1
-- returns  per task: 1 accepted or known, 0 no such function, 2 it was to be due
--          in the past, or when another task has the key its id behind = (the
--          same body) or ! (another one)
local answers, known = {}, {}
local FIELDS = 4 -- of one task

local forms = {}
for n, a in ipairs(cjson.decode(ARGV[2])) do
  forms[text(n)] = {fn = a[1], codec = a[2], queue = a[3], priority = text(a[4]), delay = a[5], again = a[6], retries = a[7],
    first = text(a[8]), last = text(a[9]), on = a[10], name = a[11], body = a[12], patience = a[13], at = a[14]}
end

local function known_function(fn)
  local answer = known[fn]
  if answer == nil then
    answer = call('HEXISTS', K.functions, fn) == 1
    known[fn] = answer
  end
  return answer
end

-- keyed says what to answer when another task has a key, or nil. Its task is
-- looked at, so that a key cannot outlive the record.
local function keyed(name, body)
  local used = name ~= '' and call('GET', K.key .. name)
  if not used then return nil end
  local id, before = string.match(used, '^(%S+) (%S+)$')
  if not id or not fields(id).st then return nil end
  return (before == body and '=' or '!') .. id
end

-- record_of is the record of a new task, which those of a form have in common; due is when
-- it is, if it waits for that.
local function record_of(f, due)
  if not f.record then
    local delay = due and tonumber(due) - now or 0
    local tail = f.fn .. '\t' .. plain(f.codec) .. '\t' .. plain(f.queue) .. '\t' .. f.priority
    f.record = close_record(due and 'DELAYED' or 'QUEUED', '', '', '', '', '', '', '', '', NOW, with_fields(tail, {
      td = due or '', tx = f.patience > 0 and now + delay + f.patience or '', ik = f.name,
      rt = f.retries ~= 0 and f.retries or '', rf = f.retries ~= 0 and f.first or '', rl = f.retries ~= 0 and f.last or '',
      ro = f.retries ~= 0 and f.on or '',
    }))
  end
  return f.record
end

-- Which ids exist is asked for all of them at once.
local exists = {}
for i = 3, #ARGV, FIELDS * CHUNK do
  local ids = {}
  for j = i, math.min(i + FIELDS * CHUNK - 1, #ARGV), FIELDS do ids[#ids + 1] = ARGV[j] end
  for n, score in ipairs(call('ZMSCORE', K.all, unpack(ids))) do exists[ids[n]] = score and true end
end

local specs = {}
for i = 3, #ARGV, FIELDS do
  local id, f = ARGV[i], forms[ARGV[i + 3]]
  local fn, delay = f.fn, f.delay
  local answer = 1
  if f.at > 0 then delay = f.at - now end
  if not exists[id] then
    local used = keyed(f.name, f.body)
    if used then
      answer = used
    elseif not known_function(fn) then
      answer = 0
    elseif f.at > 0 and delay <= 0 then
      answer = 2
    else
      -- Whatever is first: a server that is out of memory refuses the first
      -- growing command, and then nothing at all has been written.
      if ARGV[i + 2] ~= '' then call('SET', K.args .. id, ARGV[i + 2]) end
      if delay > 0 then
        local due = text(now + delay)
        keep(id, record_of(f, due))
        enter('DELAYED', id, due)
      else
        keep(id, record_of(f))
        enter('QUEUED', id, '0')
        line_up(f.queue, f.priority, fn, id)
      end
      specs[#specs + 1] = K.spec .. id
      specs[#specs + 1] = ARGV[i + 1]
      if f.name ~= '' then
        call('SET', K.key .. f.name, id .. ' ' .. f.body)
      end
      if f.patience > 0 then
        into(entering, K.expiry, text(now + delay + f.patience), id)
      end
      into(entering, K.all, '0', id)
      exists[id] = true
      if f.again ~= '' and fields(f.again).st then
        change(f.again, {}, {ra = id})
        exhume(f.again, fn)
      end
      event('submitted', 'task.submitted', id, fn)
    end
  end
  answers[#answers + 1] = answer
end
for j = 1, #specs, CHUNK do call('MSET', unpack(specs, j, math.min(j + CHUNK - 1, #specs))) end
flush(false)
return answers
