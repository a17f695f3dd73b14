-- putfunction.lua stores a function or finds the equal one. Either way it is
-- the latest of its name afterwards.
--
-- uses     clock events policy
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] id to give to a new one, [3] name,
--          [4] identity, [5] document, [6] body hash, [7] body, [8]–[11] the
--          policy of a new one: see policy.lua, [12] what it needs, '' = nothing
-- returns  registered, unchanged or back, and the fields of getfunction.lua
local name, identity = ARGV[3], ARGV[4]
local id = call('HGET', K.fidentity, identity)
local outcome

if not id then
  outcome, id = 'registered', ARGV[2]
  -- The large one first: when memory is short, nothing has been written yet.
  call('SETNX', K.body .. ARGV[6], ARGV[7])
  local version = call('HINCRBY', K.fhighest, name, 1)
  local ref = name .. '@' .. version
  call('HSET', K.fn .. id, 'doc', ARGV[5], 'name', name, 'version', version, 'created', now, 'identity', identity)
  set_policy(id, 8)
  if ARGV[12] ~= '' then call('HSET', K.fn .. id, 'needs', ARGV[12]) end
  call('HSET', K.fidentity, identity, id)
  call('HSET', K.functions, id, ref)
  call('HSET', K.fversion, ref, id)
elseif id == ARGV[2] then
  outcome = 'registered' -- a repetition whose answer was lost
elseif call('HGET', K.flatest, name) == id then
  outcome = 'unchanged'
else
  outcome = 'back'
end

if outcome ~= 'unchanged' and call('HGET', K.flatest, name) ~= id then
  call('HSET', K.flatest, name, id)
  event(nil, 'function.registered', '', id, nil, nil, nil, outcome)
end
flush(false)
local f = call('HMGET', K.fn .. id, 'doc', 'version', 'created', 'policy')
return {outcome, id, f[1], f[2], f[3], 1, f[4] or ''}
