-- unthrottle.lua: classes that wait for their rate.
-- uses   clock many unpark
--
-- unpark_throttled lets those of a function try again; unpark_due all whose time has come.
local function unpark_throttled(fn)
  local members = {}
  for _, member in ipairs(call('ZRANGE', K.throttled, 0, -1)) do
    if string.sub(member, 24) == fn then members[#members + 1] = member end -- after the priority
  end
  many('ZREM', K.throttled, members)
  unpark(members)
end
local function unpark_due()
  local members = call('ZRANGEBYSCORE', K.throttled, '-inf', now, 'LIMIT', 0, 1000)
  many('ZREM', K.throttled, members)
  unpark(members)
end
