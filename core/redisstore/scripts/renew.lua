-- renew.lua prolongs leases and records starts that were not yet seen.
--
-- uses     clock drain record holds index events
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] lease in ms from now, then for each lease:
--          task, epoch, claim id, worker or '', 1 = started, started so many ms
--          ago, the worker's principal or '', dispatcher or '', progress or ''
-- returns  per lease: ok, already, stale, cancelling, or cancelling and its grace in ms
drain()
local verdicts, until_, ids = {}, now + tonumber(ARGV[2]), {}
for i = 3, #ARGV, 9 do ids[#ids + 1] = ARGV[i] end
fetch(ids)

for i = 3, #ARGV, 9 do
  local id, worker, started, principal = ARGV[i], ARGV[i + 3], ARGV[i + 4] == '1', ARGV[i + 6]
  local r = fields(id)
  local verdict = holds(r, ARGV[i + 1], ARGV[i + 2])
  if verdict == 'ok' and principal ~= '' and r.pn and r.pn ~= principal then verdict = 'stale' end
  if verdict == 'ok' then
    enter('RUNNING', id, until_)
    if worker == '' then worker = r.wo end
    local head, rest, wrote = {}, {}, false
    if principal ~= '' and not r.pn then rest.pn, wrote = principal, true end
    local holder = r.di
    if ARGV[i + 7] ~= '' and ARGV[i + 7] ~= holder then
      holder = ARGV[i + 7]
      head.di, wrote = holder, true
    end
    if started and r.sl ~= '1' then
      local attempt = (tonumber(r.at) or 0) + 1
      local at = math.max(tonumber(r.tc), now - tonumber(ARGV[i + 5]))
      head.at, head.tb, head.wo, rest.sl, wrote = attempt, at, worker, '1', true
      event('started', 'task.started', id, r.fn, worker, holder, attempt)
    elseif worker ~= r.wo then
      head.wo, wrote = worker, true
    end
    if ARGV[i + 8] ~= '' then
      rest.pg, wrote = ARGV[i + 8], true
      if call('EXISTS', K.follow .. id) == 1 then call('PUBLISH', K.hint_printed, id) end
    end
    if wrote then change(id, head, next(rest) and rest) end
    if r.ca == '1' then
      verdict = 'cancelling'
      if r.cg then verdict = verdict .. ' ' .. r.cg end
    end
  end
  verdicts[#verdicts + 1] = verdict
end
flush(false)
return verdicts
