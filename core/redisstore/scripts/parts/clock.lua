-- clock.lua: the time by the server's clock, in ms, as a number and as text.
-- uses   text
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local NOW = text(now)
