-- giveback.lua stands before release.lua, reap.lua and orphan.lua, which share
-- what happens to a task that is given back.
-- uses   into index events lines running refund history finish
--
-- ARGV     [2] deliveries that are allowed, [3] unstarted vanished releases
--          that are free of charge plus one, [4] result envelope of a cancelled
--          task, [5] result envelope of a lost one

-- charge counts a vanished holder: a delivery if the task was started under
-- this lease, and else only from the tenth such release on.
local function charge(key, started)
  if started then return call('HINCRBY', key, 'de', 1) end
  if call('HINCRBY', key, 'un', 1) >= tonumber(ARGV[3]) then return call('HINCRBY', key, 'de', 1) end
  return 0
end

-- give_back takes a RUNNING task from its holder.
local function give_back(id, vanished)
  local key = K.task .. id
  local f = call('HMGET', key, 'fn', 'at', 'wo', 'di', 'tb', 'ts', 'ca', 'sl', 'q', 'pr', 'tc', 'tx')
  local r = {fn = f[1], at = f[2], wo = f[3], di = f[4], tb = tonumber(f[5]), ts = tonumber(f[6]), tc = tonumber(f[11])}
  local deliveries = vanished and charge(key, f[8] == '1') or 0
  -- Without its claim id the lease can neither be renewed nor settled.
  if f[7] == '1' then
    call('HDEL', key, 'cl')
    call('SET', K.result .. id, ARGV[4])
    finish(id, 'RUNNING', 'CANCELLED', 'cancelled', r)
  elseif deliveries >= tonumber(ARGV[2]) then
    call('HDEL', key, 'cl')
    call('SET', K.result .. id, ARGV[5])
    finish(id, 'RUNNING', 'FAILED', 'lost', r)
  else
    if f[8] == '1' then remember(id, vanished and 'lost' or 'released', r, tonumber(r.at), '', '', '') end
    call('HSET', key, 'st', 'QUEUED')
    call('HDEL', key, 'cl', 'di', 'wo', 'pn', 'sl', 'tc', 'tb', 'pg')
    leave('RUNNING', id)
    enter('QUEUED', id, 0)
    runs(r.fn, -1)
    if not vanished and f[8] ~= '1' then refund(r.fn) end
    if f[12] then into(entering, K.expiry, f[12], id) end
    line_up(f[9], f[10], r.fn, id)
    local word = vanished and 'lost' or 'released'
    event(word, 'task.' .. word, id, r.fn, r.wo, r.di, r.at)
  end
end
