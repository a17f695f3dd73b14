-- orphan.lua gives back the tasks that dead dispatchers held, or those of them
-- that workers of one principal had.
--
-- uses     drain record giveback
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2]–[5] see giveback.lua, [6] how many dispatchers
--          follow, [7] principal or '', their ids, then ids of running tasks
--          to look at
-- returns  how many were given back
drain()
local dead, n, released = {}, tonumber(ARGV[6]), 0
for i = 8, 7 + n do dead[ARGV[i]] = true end

for i = 8 + n, #ARGV do
  local r = fields(ARGV[i])
  if r.st == 'RUNNING' and dead[r.di] and (ARGV[7] == '' or ARGV[7] == r.pn) then
    give_back(ARGV[i], true)
    released = released + 1
  end
end
flush(true)
return released
