-- removefunction.lua takes a function out of names and listings; its record and
-- body stay for the tasks that were accepted before.
--
-- uses     clock drain events
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] id
-- returns  1, or 0 when there is none or it was removed before
local id = ARGV[2]
local ref = call('HGET', K.functions, id)
if not ref then return 0 end
drain()

local f = call('HMGET', K.fn .. id, 'name', 'identity')
call('HDEL', K.functions, id)
call('ZADD', K.removed, now, id)
call('HDEL', K.fversion, ref)
call('HDEL', K.fidentity, f[2])
if call('HGET', K.flatest, f[1]) == id then
  local latest
  for version = tonumber(call('HGET', K.fhighest, f[1])), 1, -1 do
    latest = call('HGET', K.fversion, f[1] .. '@' .. version)
    if latest then break end
  end
  if latest then call('HSET', K.flatest, f[1], latest) else call('HDEL', K.flatest, f[1]) end
end
event(nil, 'function.removed', '', id)
flush(false)
return 1
