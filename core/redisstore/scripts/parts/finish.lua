-- finish.lua: tasks that end.
-- uses   clock text index into many dead running observe events
local gone, ended = {}, {}

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

--- flush
for key, ids in pairs(gone) do many('RPUSH', key, ids) end
if #ended > 0 then call('PUBLISH', K.hint_ended, table.concat(ended, ',')) end
