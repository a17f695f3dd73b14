-- hash.lua: text of users as part of a key, remembered.
local hashes = {}
local function hash(name)
  local h = hashes[name]
  if not h then h = string.sub(redis.sha1hex(name), 1, 20); hashes[name] = h end
  return h
end
