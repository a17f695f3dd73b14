-- gc.lua forgets tasks that ended long ago, in the order of their end. Failed
-- ones are kept longer than the others, so that there are two lines of them.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] COMPLETED or FAILED: which line, [3] kept for
--          so many ms, [4] at most so many
-- returns  how many were forgotten
drain()
local line, border = K.done .. ARGV[2], now - tonumber(ARGV[3])
local ids = call('LRANGE', line, 0, tonumber(ARGV[4]) - 1)
local old = {}

-- free forgets an idempotency key, unless it is another task's by now.
local function free(name, id)
  local used = call('GET', K.key .. name)
  if used and string.match(used, '^%S+') == id then call('UNLINK', K.key .. name) end
end

for _, id in ipairs(ids) do
  local r = call('HMGET', K.task .. id, 'tf', 'st', 'fn', 'ik')
  if r[1] and tonumber(r[1]) > border then break end
  old[#old + 1] = id
  if r[1] then
    leave(r[2], id)
    if r[2] == 'FAILED' then
      into(leaving, K.failed_of .. r[3], id)
      exhume(id, r[3])
    end
  end
  if r[4] then free(r[4], id) end
  into(leaving, K.all, id)
  call('UNLINK', K.task .. id, K.spec .. id, K.args .. id, K.result .. id, K.output .. id, K.history .. id, K.outputs .. id)
end
if #old > 0 then call('LTRIM', line, #old, -1) end
flush(false)
return #old
