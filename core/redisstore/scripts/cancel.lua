-- cancel.lua ends tasks that wait and marks those that run.
--
-- uses     drain cancelone
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] result envelope of a cancelled task, [3]
--          grace in ms or '', then ids
-- returns  per task: cancelled, cancelling, ended or unknown
drain()
local verdicts = {}
for i = 4, #ARGV do verdicts[#verdicts + 1] = (cancel(ARGV[i], nil, ARGV[2], ARGV[3])) end
flush(false)
tell(ARGV[3])
return verdicts
