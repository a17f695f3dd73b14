-- giveback.lua stands before release.lua, reap.lua and orphan.lua, which share
-- what happens to a task that is given back.
-- uses   into record index events lines running refund history finish
--
-- ARGV     [2] deliveries that are allowed, [3] unstarted vanished releases
--          that are free of charge plus one, [4] result envelope of a cancelled
--          task, [5] result envelope of a lost one

-- give_back takes a RUNNING task from its holder. A vanished holder is charged: a delivery
-- if the task was started under this lease, and else only from the tenth such release on.
local function give_back(id, vanished)
  local f = fields(id)
  local started = f.sl == '1'
  local r = {fn = f.fn, at = f.at, wo = f.wo, di = f.di, tb = tonumber(f.tb), tc = f.tc}
  local rest, deliveries = {sl = '', pn = '', pg = ''}, 0
  if vanished then
    local unstarted = (tonumber(f.un) or 0) + 1
    if not started then rest.un = unstarted end
    if started or unstarted >= tonumber(ARGV[3]) then
      deliveries = (tonumber(f.de) or 0) + 1
      rest.de = deliveries
    end
  end
  local ends = f.ca == '1' or deliveries >= tonumber(ARGV[2])
  if ends then
    -- Without its claim id the lease can neither be renewed nor settled.
    change(id, {cl = ''}, vanished and {un = rest.un, de = rest.de})
    f = fields(id)
  end
  if f.ca == '1' then
    call('SET', K.result .. id, ARGV[4])
    finish(id, 'RUNNING', 'CANCELLED', 'cancelled', f, r)
  elseif ends then
    call('SET', K.result .. id, ARGV[5])
    finish(id, 'RUNNING', 'FAILED', 'lost', f, r)
  else
    if started then remember(id, vanished and 'lost' or 'released', r, tonumber(r.at), '', '', '') end
    change(id, {st = 'QUEUED', cl = '', di = '', wo = '', tc = '', tb = ''}, rest)
    leave('RUNNING', id)
    enter('QUEUED', id, 0)
    runs(r.fn, -1)
    if not vanished and not started then refund(r.fn) end
    if f.tx then into(entering, K.expiry, f.tx, id) end
    line_up(f.q, f.pr, r.fn, id)
    local word = vanished and 'lost' or 'released'
    event(word, 'task.' .. word, id, r.fn, r.wo, r.di, r.at)
  end
end
