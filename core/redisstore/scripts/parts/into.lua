-- into.lua: values gathered by name.
local function into(groups, name, a, b)
  local group = groups[name]
  if not group then group = {}; groups[name] = group end
  group[#group + 1] = a
  if b then group[#group + 1] = b end
end
