-- submit.lua accepts tasks. An id that exists already is left alone, so that a
-- submit whose answer was lost can be repeated.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, then for each task:
--          id, function, codec, queue, priority, delay in ms,
--          spec envelope, arguments when they are not in the envelope (else ''),
--          the ended task that it runs again (else ''),
--          retries, first and last wait of the back-off in ms, retry-on or '',
--          hashed idempotency key or '', hash of the body,
--          expires so many ms after it was submitted or due (0 = never), due at
--          that time in ms (0 = after the delay)
-- returns  per task: 1 accepted or known, 0 no such function, 2 it was to be due
--          in the past, or when another task has the key its id behind = (the
--          same body) or ! (another one)
local answers, known = {}, {}
local FIELDS = 17 -- of one task

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
  if not id or call('EXISTS', K.task .. id) == 0 then return nil end
  return (before == body and '=' or '!') .. id
end

-- Which ids exist is asked for all of them at once.
local exists = {}
for i = 2, #ARGV, FIELDS * CHUNK do
  local ids = {}
  for j = i, math.min(i + FIELDS * CHUNK - 1, #ARGV), FIELDS do ids[#ids + 1] = ARGV[j] end
  for n, score in ipairs(call('ZMSCORE', K.all, unpack(ids))) do exists[ids[n]] = score and true end
end

for i = 2, #ARGV, FIELDS do
  local id, fn, codec, queue, priority, delay = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], tonumber(ARGV[i + 5])
  local key = K.task .. id
  local answer, at = 1, tonumber(ARGV[i + 16])
  if at > 0 then delay = at - now end
  if not exists[id] then
    local used = keyed(ARGV[i + 13], ARGV[i + 14])
    if used then
      answer = used
    elseif not known_function(fn) then
      answer = 0
    elseif at > 0 and delay <= 0 then
      answer = 2
    else
      -- The payload first: a server that is out of memory refuses the first
      -- growing command, and then nothing at all has been written.
      call('SET', K.spec .. id, ARGV[i + 6])
      if ARGV[i + 7] ~= '' then call('SET', K.args .. id, ARGV[i + 7]) end
      if delay > 0 then
        call('HSET', key, 'st', 'DELAYED', 'fn', fn, 'co', codec, 'q', queue, 'pr', priority, 'ts', now, 'td', now + delay)
        enter('DELAYED', id, now + delay)
      else
        call('HSET', key, 'st', 'QUEUED', 'fn', fn, 'co', codec, 'q', queue, 'pr', priority, 'ts', now)
        enter('QUEUED', id, 0)
        line_up(queue, priority, fn, id)
      end
      if ARGV[i + 9] ~= '0' then
        call('HSET', key, 'rt', ARGV[i + 9], 'rf', ARGV[i + 10], 'rl', ARGV[i + 11])
        if ARGV[i + 12] ~= '' then call('HSET', key, 'ro', ARGV[i + 12]) end
      end
      if ARGV[i + 13] ~= '' then
        call('SET', K.key .. ARGV[i + 13], id .. ' ' .. ARGV[i + 14])
        call('HSET', key, 'ik', ARGV[i + 13])
      end
      local patience = tonumber(ARGV[i + 15])
      if patience > 0 then
        call('HSET', key, 'tx', now + delay + patience)
        into(entering, K.expiry, now + delay + patience, id)
      end
      into(entering, K.all, 0, id)
      exists[id] = true
      local old = ARGV[i + 8]
      if old ~= '' and call('EXISTS', K.task .. old) == 1 then
        call('HSET', K.task .. old, 'ra', id)
        exhume(old, fn)
      end
      event('submitted', 'task.submitted', id, fn)
    end
  end
  answers[#answers + 1] = answer
end
flush(false)
return answers
