-- print.lua adds what followed tasks printed. What nobody follows, or is
-- printed under a lease that does not hold, is dropped.
--
-- uses     record holds
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] pieces kept per task, [3] for so many ms, then
--          for each piece: task, epoch, claim id, envelope
-- returns  how many were added
local printed, tasks = {}, 0
for i = 4, #ARGV, 4 do
  local id = ARGV[i]
  if call('EXISTS', K.follow .. id) == 1 and holds(fields(id), ARGV[i + 1], ARGV[i + 2]) == 'ok' then
    call('XADD', K.pieces .. id, 'MAXLEN', ARGV[2], '*', 'p', ARGV[i + 3])
    call('PEXPIRE', K.pieces .. id, ARGV[3])
    tasks = tasks + 1
    if printed[#printed] ~= id then printed[#printed + 1] = id end
  end
end
if tasks > 0 then call('PUBLISH', K.hint_printed, table.concat(printed, ',')) end
return tasks
