-- refund.lua: what the rate of a function counted for a task that was not started.
-- rates holds, as the time when the bucket will be full again, what was taken.
-- uses   unthrottle
local refunds = {}
local function refund(fn) refunds[fn] = (refunds[fn] or 0) + 1 end

--- flush
for fn, n in pairs(refunds) do
  local f = call('HMGET', K.fn .. fn, 'rate', 'per')
  local full = f[1] and tonumber(call('HGET', K.rates, fn))
  if full then
    call('HSET', K.rates, fn, string.format('%.17g', full - n * f[2] / f[1]))
    unpark_throttled(fn)
  end
end
