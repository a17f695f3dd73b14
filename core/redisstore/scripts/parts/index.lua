-- index.lua: indexes. enter and leave gather, flush writes.
-- uses   into many
local entering, leaving = {}, {}

local function enter(state, id, score) into(entering, K.index .. state, score, id) end
local function leave(state, id) into(leaving, K.index .. state, id) end

--- flush
for key, ids in pairs(leaving) do many('ZREM', key, ids) end
for key, pairs_ in pairs(entering) do many('ZADD', key, pairs_) end
