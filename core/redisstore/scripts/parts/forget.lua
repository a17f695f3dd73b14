-- forget.lua stands before the scripts that forget ended tasks. The lists of
-- ended tasks (K.done) are left to gc, which passes over what is gone.
-- uses   into index dead

-- free forgets an idempotency key, unless it is another task's by now.
local function free(name, id)
  local used = call('GET', K.key .. name)
  if used and string.match(used, '^%S+') == id then call('UNLINK', K.key .. name) end
end

-- forget takes a task out of everything; state, fn and key (its hashed idempotency
-- key) are of its record, false when that is gone.
local function forget(id, state, fn, key)
  if state then
    leave(state, id)
    if state == 'FAILED' then
      into(leaving, K.failed_of .. fn, id)
      exhume(id, fn)
    end
  end
  if key then free(key, id) end
  into(leaving, K.all, id)
  call('UNLINK', K.task .. id, K.spec .. id, K.args .. id, K.result .. id, K.output .. id, K.history .. id, K.outputs .. id)
end
