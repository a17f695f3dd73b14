-- release.lua gives leases back: the tasks stand before all others of their
-- class again, or end if their cancel was asked for or their deliveries spent.
--
-- uses     drain record holds giveback
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2]–[5] see giveback.lua, [6] 1 = the holder
--          vanished, 0 = it says so itself, [7] the dispatcher that gives
--          them back, or '' for whichever, then for each lease: task, epoch,
--          claim id
-- returns  per lease: ok, already or stale (also when another dispatcher has
--          adopted it)
drain()
local verdicts, vanished = {}, ARGV[6] == '1'

local ids = {}
for i = 8, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
fetch(ids)
for i = 8, #ARGV, 3 do
  local r = fields(ARGV[i])
  local verdict = holds(r, ARGV[i + 1], ARGV[i + 2])
  if verdict == 'ok' and ARGV[7] ~= '' and r.di ~= ARGV[7] then verdict = 'stale' end
  if verdict == 'ok' then give_back(ARGV[i], vanished) end
  verdicts[#verdicts + 1] = verdict
end
flush(true)
return verdicts
