-- cancelone.lua stands before the scripts that cancel. Queues are left alone:
-- claim skips what is no longer queued.
-- uses   record depth finish
local told = {} -- running tasks whose worker has to hear of it

-- cancel ends a task that waits and marks one that runs. allowed is a set of the
-- states that it may be in, or nil; result is the envelope of a cancelled task,
-- grace what a running call has to end, in ms, or ''.
-- It returns cancelled, cancelling, ended, unknown or other (not in allowed, or
-- marked before), and how often the task was started.
local function cancel(id, allowed, result, grace)
  local f = fields(id)
  local state = f.st
  if not state then return 'unknown', 0 end
  local starts = tonumber(f.at) or 0
  if state ~= 'RUNNING' and state ~= 'QUEUED' and state ~= 'DELAYED' then return 'ended', starts end
  if allowed and (not allowed[state] or f.ca == '1') then return 'other', starts end
  if state == 'RUNNING' then
    change(id, {}, {ca = '1', cg = grace})
    told[#told + 1] = id
    return 'cancelling', starts
  end
  if state == 'QUEUED' then depth(f.q, -1) end
  call('SET', K.result .. id, result)
  finish(id, state, 'CANCELLED', 'cancelled', f, {fn = f.fn, at = f.at, tx = f.tx})
  return 'cancelled', starts
end

-- tell lets dispatchers hear of running tasks whose end is asked for.
local function tell(grace)
  if #told == 0 then return end
  local ids = table.concat(told, ',')
  if grace ~= '' then ids = grace .. ':' .. ids end
  call('PUBLISH', K.hint_cancel, ids)
end
