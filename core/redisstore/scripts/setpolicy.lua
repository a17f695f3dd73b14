-- setpolicy.lua replaces the policy of a function.
--
-- uses     events uncap unthrottle policy
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] id, [3]–[6] see policy.lua
-- returns  1, or 0 when there is none or it was removed
local id = ARGV[2]
if call('HEXISTS', K.functions, id) == 0 then return 0 end
set_policy(id, 3)
unpark_capped(id) -- they try again under the new limits
unpark_throttled(id)
event(nil, 'function.changed', '', id)
flush(false)
return 1
