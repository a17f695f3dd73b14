-- cancel.lua ends tasks that wait and marks those that run.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2] result envelope of a cancelled task, then ids
-- returns  per task: cancelled, cancelling, ended or unknown
drain()
local verdicts = {}
for i = 3, #ARGV do verdicts[#verdicts + 1] = (cancel(ARGV[i], nil, ARGV[2])) end
flush(false)
tell()
return verdicts
