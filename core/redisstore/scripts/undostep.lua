-- undostep.lua is one step of the undo of a retry: new tasks that wait and were
-- never started are cancelled, and their old ones are dead letters again.
--
-- uses     drain record dead journal cancelone
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] operation, [3] at most so many, [4] result envelope
--          of a cancelled task
-- returns  1, or 0 when the operation is not undoing
drain()
local op = ARGV[2]
local o = call('HMGET', K.op .. op, 'st', 'ua')
if o[1] ~= 'undoing' then return 0 end
local at = tonumber(o[2])
local part = call('LRANGE', K.op_tasks .. op, at, at + tonumber(ARGV[3]) - 1)
local waiting = {QUEUED = true, DELAYED = true}
local undone, started = 0, 0

-- back makes an old task a dead letter again, unless it was run again since.
local function back(old, new)
  local r = fields(old)
  if r.ra ~= new then return end
  change(old, {}, {ra = ''})
  if r.st == 'FAILED' and r.fk ~= 'expired' then bury(old, r.fn) end
end

for _, pair in ipairs(part) do
  local new, old = string.match(pair, '^(.*),(.*)$')
  local r = fields(new)
  if r.st and waiting[r.st] and (tonumber(r.at) or 0) == 0 then
    cancel(new, waiting, ARGV[4], '')
    back(old, new)
    undone = undone + 1
  elseif r.st ~= 'CANCELLED' then -- one that somebody cancelled needs no undo
    started = started + 1
  end
end
flush(false)
call('HSET', K.op .. op, 'ua', at + #part)
if undone > 0 then call('HINCRBY', K.op .. op, 'un', undone) end
if started > 0 then call('HINCRBY', K.op .. op, 'sd', started) end
if at + #part >= call('LLEN', K.op_tasks .. op) then close(op, 'undone') end
return 1
