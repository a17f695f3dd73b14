-- migrate.lua makes records of layout 1, which were hashes, into what they are now.
--
-- uses     record
-- KEYS     [1] what all keys begin with
-- ARGV     [1] events kept (not used), then task ids
-- returns  how many were hashes
local done = 0
for i = 2, #ARGV do
  local key = K.task .. ARGV[i]
  if call('TYPE', key).ok == 'hash' then
    local h, all = {}, call('HGETALL', key)
    for j = 1, #all, 2 do h[all[j]] = all[j + 1] end
    -- take returns a field of the head, or of the beginning of the tail.
    local function take(name)
      local value = h[name] or ''
      h[name] = nil
      return plain(value)
    end
    local tail = take('fn') .. '\t' .. take('co') .. '\t' .. take('q') .. '\t' .. take('pr')
    local st, ep, cl, di, tc = take('st'), take('ep'), take('cl'), take('di'), take('tc')
    local at, tb, wo, tf, ts = take('at'), take('tb'), take('wo'), take('tf'), take('ts')
    call('DEL', key)
    call('SET', key, close_record(st, ep, cl, di, tc, at, tb, wo, tf, ts, with_fields(tail, h)))
    done = done + 1
  end
end
return done
