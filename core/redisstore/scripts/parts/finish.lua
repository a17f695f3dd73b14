-- finish.lua: tasks that end.
-- uses   text clock many into record index events observe running dead
local gone, ended = {}, {}

-- finish ends a task: state, indexes, what waiters and gc look at, the event.
-- f is its record; r holds fn, at, tb (a number, or nil), wo and di as they are by now, tx when it
-- waited, ft when its failure has a type; run is the time it ran in microseconds, when its
-- worker measured it.
local endings = {COMPLETED = 'completed', FAILED = 'failed', CANCELLED = 'cancelled'}

local function finish(id, from, to, kind, f, r, run)
  local tail = f.tail
  if kind ~= '' then tail = with_fields(tail, {fk = kind, ft = to == 'FAILED' and r.ft or ''}) end
  keep(id, close_record(to, f.ep, f.cl, plain(r.di or ''), f.tc, r.at, r.tb and text(r.tb) or f.tb, plain(r.wo or ''), NOW, f.ts, tail))
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
    wait = math.max(0, r.tb - f.ts)
    run = run or math.max(0, now - r.tb) * 1000
    observe('w', wait * 1000, r.fn)
    observe('r', run, r.fn)
    wait, run = text(wait), text(run)
  end
  event(endings[to], 'task.' .. endings[to], id, r.fn, r.wo, r.di, r.at, kind, run, wait)
end

--- flush
for key, ids in pairs(gone) do many('RPUSH', key, ids) end
if #ended > 0 then call('PUBLISH', K.hint_ended, table.concat(ended, ',')) end
