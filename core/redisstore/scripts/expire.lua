-- expire.lua ends the tasks that waited too long, whether or not anybody claims.
-- Their lines are left alone: claim skips what is no longer queued.
--
-- uses     clock drain into record index overdue
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] at most so many, [3] result envelope of an
--          expired task
-- returns  how many, and ms until the next expires (0 = there is none)
drain()
local late = call('ZRANGEBYSCORE', K.expiry, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
local n = 0

fetch(late)
for _, id in ipairs(late) do
  local state = fields(id).st
  if state == 'QUEUED' or state == 'DELAYED' then
    overdue(id, state, ARGV[3])
    n = n + 1
  end
  into(leaving, K.expiry, id)
end
flush(false)

local first = call('ZRANGE', K.expiry, 0, 0, 'WITHSCORES')
local wait = 0
if #first > 0 then wait = math.max(1, tonumber(first[2]) - now) end
return {n, wait}
