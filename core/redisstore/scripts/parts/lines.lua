-- lines.lua: tasks that are put into their lines.
-- uses   awaken class depth hash into many
local waiting = {}

local function line_up(queue, priority, fn, id)
  local classes = waiting[queue]
  if not classes then classes = {}; waiting[queue] = classes end
  into(classes, class_of(priority, fn), id)
  depth(queue, 1)
end

--- flush
-- They stand at the end of their lines, or in order of submission before all others.
if next(waiting) then
  for queue, classes in pairs(waiting) do
    for class, ids in pairs(classes) do
      if front then table.sort(ids, function(a, b) return a > b end) end
      local length = many(front and 'LPUSH' or 'RPUSH', K.line .. hash(queue) .. ':' .. class, ids)
      if length == #ids then awaken(queue, class) end
    end
  end
  call('PUBLISH', K.hint_work, '')
end
