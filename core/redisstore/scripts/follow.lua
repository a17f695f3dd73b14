-- follow.lua notes that tasks are followed, for a time, and lets dispatchers hear.
--
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] for so many ms, then task ids
-- returns  0
for i = 3, #ARGV do
  call('SET', K.follow .. ARGV[i], 1, 'PX', ARGV[2])
  call('PEXPIRE', K.pieces .. ARGV[i], ARGV[2])
end
call('PUBLISH', K.hint_follow, table.concat(ARGV, ',', 3))
return 0
