-- cancel.lua ends tasks that wait and marks those that run. Queues are left
-- alone: claim skips what is no longer queued.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] result envelope of a cancelled task, then ids
-- returns  per task: cancelled, cancelling, ended or unknown
drain()
local verdicts, running = {}, {}

for i = 3, #ARGV do
  local id = ARGV[i]
  local key = K.task .. id
  local f = call('HMGET', key, 'st', 'fn', 'at', 'ts', 'q', 'tx')
  local state, verdict = f[1], 'ended'
  if not state then
    verdict = 'unknown'
  elseif state == 'RUNNING' then
    verdict = 'cancelling'
    call('HSET', key, 'ca', 1)
    running[#running + 1] = id
  elseif state == 'QUEUED' or state == 'DELAYED' then
    verdict = 'cancelled'
    if state == 'QUEUED' then depth(f[5], -1) end
    call('SET', K.result .. id, ARGV[2])
    finish(id, state, 'CANCELLED', 'cancelled', {fn = f[2], at = f[3], ts = tonumber(f[4]), tx = f[6]})
  end
  verdicts[#verdicts + 1] = verdict
end
flush(false)
if #running > 0 then call('PUBLISH', K.hint_cancel, table.concat(running, ',')) end
return verdicts
