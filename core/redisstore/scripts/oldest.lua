-- oldest.lua tells since when the oldest task at the head of a queue waits. It
-- reads the first task of each class and writes nothing; a class is in order of
-- submission, so that its head is its oldest. What was cancelled or has expired
-- stays in its line until a claim skips it, and is passed over here as well.
--
-- uses     into hash record
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept, [2] at most so many classes of a queue, those without
--          a turn for longest first, [3] at most so many entries of a line,
--          [4] at most so many records in all, [5..] queues
-- returns  for each queue ms since 1970, or 0 when no task was found
local WIDTH, DEPTH, budget = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

-- head is since when the first task that is QUEUED waits, if there is one.
local function head(line)
  local from, step = 0, 4 -- mostly the first is it
  while from < DEPTH do
    local ids = call('LRANGE', line, from, from + step - 1)
    for _, id in ipairs(ids) do
      if budget <= 0 then return nil end
      budget = budget - 1
      local r = fields(id)
      if r.st == 'QUEUED' then return math.max(tonumber(r.ts) or 0, tonumber(r.td) or 0) end
    end
    if #ids < step then return nil end
    from, step = from + step, math.min(4 * step, 128)
  end
end

-- The classes that are parked, by the hash of their queue.
local waiting_of, some = {}, call('HSCAN', K.parked, 0, 'COUNT', 1000)[2]
for i = 1, #some, 2 do into(waiting_of, string.sub(some[i], 1, 20), string.sub(some[i], 22)) end

local answers = {}
for i = 5, #ARGV do
  local h, oldest = hash(ARGV[i]), nil
  local classes = call('ZRANGE', K.turn .. h, 0, WIDTH - 1)
  for _, class in ipairs(waiting_of[h] or {}) do classes[#classes + 1] = class end
  for _, class in ipairs(classes) do
    local since = head(K.line .. h .. ':' .. class)
    if since and (not oldest or since < oldest) then oldest = since end
  end
  answers[#answers + 1] = oldest or 0
end
return answers
