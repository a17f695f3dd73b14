-- text.lua: numbers as text.
--
-- Numbers are written as text where there are many: Lua and Redis print each as a
-- floating point number otherwise, which takes longer than most commands. text is for
-- whole numbers, and remembers them.
local texts = {}
local function text(n)
  local t = texts[n]
  if not t then t = string.format('%d', n); texts[n] = t end
  return t
end
