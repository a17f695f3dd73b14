-- many.lua: commands with any number of arguments.
--
-- many runs one command over any number of arguments and returns its last answer.
local function many(command, key, args)
  local answer
  for i = 1, #args, CHUNK do
    answer = call(command, key, unpack(args, i, math.min(i + CHUNK - 1, #args)))
  end
  return answer
end
