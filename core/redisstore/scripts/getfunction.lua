-- getfunction.lua finds functions by id or by name, in one round trip.
--
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept (not used), then for each function: its id or '',
--          its name, its version (0 = latest)
-- returns  per function: id, document, version, created in ms, 1 = latest,
--          policy in JSON or ''; id '' when there is none. A removed one is found
--          by its id alone.
local answers = {}
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  if id == '' then
    if ARGV[i + 2] == '0' then id = call('HGET', K.flatest, ARGV[i + 1])
    else id = call('HGET', K.fversion, ARGV[i + 1] .. '@' .. ARGV[i + 2]) end
  end
  local f = id and call('HMGET', K.fn .. id, 'doc', 'version', 'created', 'name', 'policy') or {}
  local n = #answers
  if f[1] then
    answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4] = id, f[1], f[2], f[3]
    answers[n + 5], answers[n + 6] = call('HGET', K.flatest, f[4]) == id and 1 or 0, f[5] or ''
  else
    answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4], answers[n + 5], answers[n + 6] = '', '', '0', '0', 0, ''
  end
end
return answers
