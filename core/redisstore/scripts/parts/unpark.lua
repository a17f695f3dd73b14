-- unpark.lua: classes that were parked (see awaken.lua) and may try again.
-- uses   awaken
--
-- unpark lets classes, as parked names them, take part in their queues again.
local function unpark(members)
  for _, member in ipairs(members) do
    local queue = call('HGET', K.parked, member)
    if queue then
      call('HDEL', K.parked, member)
      awaken(queue, string.sub(member, 22)) -- 20 of the hash, and a colon
    end
  end
  if #members > 0 then call('PUBLISH', K.hint_work, '') end
end
