-- release.lua gives leases back: the tasks stand before all others of their
-- class again, or end if their cancel was asked for or their deliveries spent.
--
-- KEYS     the table of keys.go
-- ARGV     [1] events kept, [2]–[5] see giveback.lua, [6] 1 = the holder
--          vanished, 0 = it says so itself, then for each lease: task, epoch,
--          claim id
-- returns  per lease: ok, already or stale
drain()
local verdicts, vanished = {}, ARGV[6] == '1'

for i = 7, #ARGV, 3 do
  local verdict = holds(call('HMGET', K.task .. ARGV[i], 'st', 'ep', 'cl'), ARGV[i + 1], ARGV[i + 2])
  if verdict == 'ok' then give_back(ARGV[i], vanished) end
  verdicts[#verdicts + 1] = verdict
end
flush(true)
return verdicts
