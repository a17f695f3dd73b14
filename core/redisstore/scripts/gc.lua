-- gc.lua forgets tasks that ended long ago, in the order of their end. Failed
-- ones are kept longer than the others, so that there are two lines of them.
--
-- uses     clock drain record forget
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] COMPLETED or FAILED: which line, [3] kept for
--          so many ms, [4] at most so many
-- returns  how many were forgotten
drain()
local line, border = K.done .. ARGV[2], now - tonumber(ARGV[3])
local ids = call('LRANGE', line, 0, tonumber(ARGV[4]) - 1)
local old = 0

fetch(ids)
for _, id in ipairs(ids) do
  local r = fields(id)
  if r.tf and (tonumber(r.tf) or 0) > border then break end
  old = old + 1
  forget(id, r.st, r.fn, r.ik)
end
if old > 0 then call('LTRIM', line, old, -1) end
flush(false)
return old
