-- observe.lua: histograms.
-- uses   events
--
-- observe counts a duration in its bucket: see core.Histogram.
local OCTAVE = 8 / math.log(2)
local buckets = {w = {}, r = {}}
local function observe(histogram, us, fn)
  local n, names = math.floor(OCTAVE * math.log(us + 1)), buckets[histogram]
  if not names[n] then names[n] = histogram .. ':' .. n end
  bump(names[n], fn)
end
