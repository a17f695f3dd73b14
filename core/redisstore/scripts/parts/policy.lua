-- policy.lua stands before putfunction.lua and setpolicy.lua, which share how the
-- policy of a function is kept: whole for those who read it, and beside that what
-- claim looks at, absent when there is no limit.
--
-- ARGV     from a place on: policy in JSON, concurrency, calls of the rate and
--          its period in ms (0 = no limit)

local function set_policy(id, at)
  local key = K.fn .. id
  call('HSET', key, 'policy', ARGV[at])
  for i, field in ipairs({'cap', 'rate', 'per'}) do
    if ARGV[at + i] == '0' then call('HDEL', key, field) else call('HSET', key, field, ARGV[at + i]) end
  end
end
