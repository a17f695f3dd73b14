-- events.lua: events and totals.
-- uses   clock text
--
-- Events: one line each, one stream entry per batch. A field equal to that of
-- the line before is written as "=".
local pieces, noted, heads, totals, totals_of = {}, 0, {}, {}, {}
local previous = {}

-- bump adds one to the total of a function, which flush adds to the total
-- of all; without a function, to that alone.
local function bump(counter, fn)
  local of = totals
  if fn then
    of = totals_of[fn]
    if not of then of = {}; totals_of[fn] = of end
  end
  of[counter] = (of[counter] or 0) + 1
end

-- event notes what happened; counter is the total it adds to, or nil.
local function event(counter, kind, task, fn, worker, dispatcher, attempt, detail, run, wait)
  local head = heads[kind]
  if not head then head = '\n' .. kind .. '\t'; heads[kind] = head end
  local who = task or ''
  if who == previous.task and who ~= '' then who = '=' else previous.task = who end
  fn, worker, dispatcher = fn or '', worker or '', dispatcher or ''
  attempt, detail, run, wait = attempt or '0', detail or '', run or '', wait or ''
  local rest
  if fn == previous.fn and worker == previous.worker and dispatcher == previous.dispatcher then
    -- Each string that is made costs time by its length: most lines have the rest of
    -- the line before.
    rest = previous.rest
    if not rest or attempt ~= previous.attempt or detail ~= previous.detail or run ~= previous.run or wait ~= previous.wait then
      rest = (fn == '' and '\t\t' or '\t=\t') .. (worker == '' and '\t' or '=\t') .. (dispatcher == '' and '\t' or '=\t')
        .. attempt .. '\t' .. detail .. '\t' .. run .. '\t' .. wait
      previous.rest, previous.attempt, previous.detail, previous.run, previous.wait = rest, attempt, detail, run, wait
    end
  else
    local function same(value, old) return value == old and value ~= '' and '=' or value end
    rest = '\t' .. same(fn, previous.fn) .. '\t' .. same(worker, previous.worker) .. '\t' .. same(dispatcher, previous.dispatcher) .. '\t'
      .. attempt .. '\t' .. detail .. '\t' .. run .. '\t' .. wait
    previous.fn, previous.worker, previous.dispatcher, previous.rest = fn, worker, dispatcher, nil
  end
  local n = #pieces
  pieces[n + 1], pieces[n + 2], pieces[n + 3] = head, who, rest
  noted = noted + 1
  if counter then bump(counter, fn ~= '' and fn or nil) end
end

--- flush
if noted > 0 then
  pieces[1] = string.sub(pieces[1], 2) -- the first line begins without a line feed
  local entry = call('XADD', K.events, '*', 't', NOW, 'e', table.concat(pieces))
  call('HSET', K.counters, 'through', entry)
  for fn, of in pairs(totals_of) do
    for counter, n in pairs(of) do
      call('HINCRBY', K.counters_of .. fn, counter, text(n))
      totals[counter] = (totals[counter] or 0) + n
    end
  end
  for counter, n in pairs(totals) do call('HINCRBY', K.counters, counter, text(n)) end
  -- The oldest entries go when the stream holds more than it is to keep. Entries hold 1
  -- to 1,000 events, so that a length says little: each time the number of all events
  -- passes a multiple of a sixteenth of that, the id of the entry is marked, and the
  -- oldest mark tells where to cut. 'trimmed' remembers the last id that was dropped.
  local total, step = call('HINCRBY', K.counters, 'events', text(noted)), tonumber(ARGV[1]) / 16
  if math.floor(total / step) ~= math.floor((total - noted) / step) and call('RPUSH', K.marks, entry) > 16 then
    local first = call('LPOP', K.marks)
    local dropped = call('XREVRANGE', K.events, '(' .. first, '-', 'COUNT', 1)
    if #dropped > 0 then
      call('HSET', K.counters, 'trimmed', dropped[1][1])
      call('XTRIM', K.events, 'MINID', first)
    end
  end
end
