-- dead.lua: dead letters.
-- uses   into index
--
-- bury and exhume: whether an ended task is a dead letter. One is FAILED,
-- nothing will try it again, and nobody has. One that expired was not to be run
-- so late, so that its end is what its client asked for.
local function bury(id, fn)
  into(entering, K.dead, 0, id)
  into(entering, K.dead_of .. fn, 0, id)
end
local function exhume(id, fn)
  into(leaving, K.dead, id)
  into(leaving, K.dead_of .. fn, id)
end
