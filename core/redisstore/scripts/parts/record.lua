-- record.lua: the records of tasks, read and written by many at a time.
-- uses   text
--
-- A record is a string: its head, a line feed and its tail. The head is ten fields with
-- tabs between, '' when absent: st ep cl di tc at tb wo tf ts. The tail is fn co q pr, then
-- for each other field that the record has a tab, its name, a tab and its value. Tasks that
-- were submitted alike have the same tail, and it is taken apart once for all of them.
local texts_of, kept, tails, opened = {}, {}, {}, {}

-- Text of users may hold what parts fields.
local function plain(value)
  if string.find(value, '[\t\n\\]') then
    value = string.gsub(value, '[\t\n\\]', {['\t'] = '\\t', ['\n'] = '\\n', ['\\'] = '\\\\'})
  end
  return value
end
local function user(value)
  if string.find(value, '\\', 1, true) then value = string.gsub(value, '\\(.)', {t = '\t', n = '\n', ['\\'] = '\\'}) end
  return value
end

local function open_tail(tail)
  local fn, co, q, pr, rest = string.match(tail, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)(.*)$')
  local t = {tail = tail, fn = fn, co = co, q = user(q), pr = pr}
  for name, value in string.gmatch(rest, '\t([^\t]*)\t([^\t]*)') do t[name] = user(value) end
  t = {__index = t}
  tails[tail] = t
  return t
end

-- open_record takes a record apart. What it returns belongs to all records alike, and is not to be
-- changed. Of fields of the tail that are absent, it has nil.
local function open_record(record)
  local r = opened[record]
  if not r then
    local st, ep, cl, di, tc, at, tb, wo, tf, ts, tail = string.match(record,
      '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\n]*)\n(.*)$')
    r = setmetatable({st = st, ep = ep, cl = cl, di = user(di), tc = tc, at = at, tb = tb, wo = user(wo), tf = tf, ts = ts},
      tails[tail] or open_tail(tail))
    opened[record] = r
  end
  return r
end

-- close_record makes a record of its head, with plain text, and its tail.
local function close_record(st, ep, cl, di, tc, at, tb, wo, tf, ts, tail)
  return st .. '\t' .. ep .. '\t' .. cl .. '\t' .. di .. '\t' .. tc .. '\t' .. at .. '\t' .. tb .. '\t' .. wo .. '\t' .. tf .. '\t' .. ts .. '\n' .. tail
end

-- fetch reads records that the script will ask for; fields reads one, whose st is nil when
-- there is none.
local NONE = {}
local function fetch(ids)
  for i = 1, #ids, CHUNK do
    local last = math.min(i + CHUNK - 1, #ids)
    local keys = {}
    for j = i, last do keys[j - i + 1] = K.task .. ids[j] end
    local found = call('MGET', unpack(keys))
    for j = i, last do
      if texts_of[ids[j]] == nil then texts_of[ids[j]] = found[j - i + 1] end
    end
  end
end
local function fields(id)
  local record = texts_of[id]
  if record == nil then
    record = call('GET', K.task .. id)
    texts_of[id] = record
  end
  return record and open_record(record) or NONE
end

-- release lets go of a record that was only read: of many, memory.
local function release(id)
  local record = texts_of[id]
  texts_of[id] = nil
  if record then opened[record] = nil end
end

-- keep notes what a record is from now on; flush writes it.
local function keep(id, record)
  texts_of[id] = record
  local n = #kept
  kept[n + 1], kept[n + 2] = K.task .. id, record
end

-- with_fields is a tail with other fields; '' takes one away.
local function with_fields(tail, changes)
  local of, parts = (tails[tail] or open_tail(tail)).__index, {}
  for _, name in ipairs({'fn', 'co', 'q', 'pr'}) do parts[#parts + 1] = plain(of[name]) end
  for name, value in pairs(of) do
    if #name == 2 and name ~= 'fn' and name ~= 'co' and name ~= 'pr' and not changes[name] then
      parts[#parts + 1] = name
      parts[#parts + 1] = plain(value)
    end
  end
  for name, value in pairs(changes) do
    if value ~= '' then
      parts[#parts + 1] = name
      parts[#parts + 1] = plain(type(value) == 'number' and text(value) or value)
    end
  end
  return table.concat(parts, '\t')
end

-- change writes some fields of a record that exists, in head or tail; '' takes one away.
local function change(id, head, rest)
  local r = fields(id)
  local function at(name)
    local value = head[name]
    return value == nil and r[name] or type(value) == 'number' and text(value) or value
  end
  keep(id, close_record(at('st'), at('ep'), at('cl'), plain(at('di')), at('tc'), at('at'), at('tb'), plain(at('wo')), at('tf'), at('ts'),
    rest and with_fields(r.tail, rest) or r.tail))
end

--- flush
for i = 1, #kept, CHUNK do call('MSET', unpack(kept, i, math.min(i + CHUNK - 1, #kept))) end
