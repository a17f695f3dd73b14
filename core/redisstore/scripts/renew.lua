-- renew.lua prolongs leases and records starts that were not yet seen.
--
-- uses     clock drain holds index events
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] lease in ms from now, then for each lease:
--          task, epoch, claim id, worker or '', 1 = started, started so many ms
--          ago, the worker's principal or '', dispatcher or '', progress or ''
-- returns  per lease: ok, already, stale, cancelling, or cancelling and its grace in ms
drain()
local verdicts, until_ = {}, now + tonumber(ARGV[2])

for i = 3, #ARGV, 9 do
  local id, worker, started, principal = ARGV[i], ARGV[i + 3], ARGV[i + 4] == '1', ARGV[i + 6]
  local key = K.task .. id
  local r = call('HMGET', key, 'st', 'ep', 'cl', 'ca', 'sl', 'at', 'fn', 'wo', 'di', 'tc', 'pn')
  local verdict = holds(r, ARGV[i + 1], ARGV[i + 2])
  if verdict == 'ok' and principal ~= '' and r[11] and r[11] ~= principal then verdict = 'stale' end
  if verdict == 'ok' then
    enter('RUNNING', id, until_)
    if worker == '' then worker = r[8] or '' end
    if principal ~= '' and not r[11] then call('HSET', key, 'pn', principal) end
    if ARGV[i + 7] ~= '' and ARGV[i + 7] ~= r[9] then
      r[9] = ARGV[i + 7]
      call('HSET', key, 'di', r[9])
    end
    if started and r[5] ~= '1' then
      local attempt = (tonumber(r[6]) or 0) + 1
      local at = math.max(tonumber(r[10]), now - tonumber(ARGV[i + 5]))
      call('HSET', key, 'sl', 1, 'at', attempt, 'tb', at, 'wo', worker)
      event('started', 'task.started', id, r[7], worker, r[9], attempt)
    elseif worker ~= (r[8] or '') then
      call('HSET', key, 'wo', worker)
    end
    if ARGV[i + 8] ~= '' then
      call('HSET', key, 'pg', ARGV[i + 8])
      if call('EXISTS', K.follow .. id) == 1 then call('PUBLISH', K.hint_printed, id) end
    end
    if r[4] == '1' then
      verdict = 'cancelling'
      local grace = call('HGET', key, 'cg')
      if grace then verdict = verdict .. ' ' .. grace end
    end
  end
  verdicts[#verdicts + 1] = verdict
end
flush(false)
return verdicts
