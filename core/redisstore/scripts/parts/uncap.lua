-- uncap.lua: classes that wait for a slot of their function.
-- uses   unpark
--
-- unpark_capped lets the classes of a function try again for a slot.
local function unpark_capped(fn)
  local members = call('SMEMBERS', K.capped .. fn)
  if #members == 0 then return end
  call('DEL', K.capped .. fn)
  unpark(members)
end
