/**
 * Lua: reads and writes the records of sessions. A record that this version can't have written (of another type, or with missing or
 * corrupted fields) is deleted, and reported to this node. A session whose record is damaged ends.
 */
export const RECORDS = `
-- Deletes a damaged record.
local function discard(name)
  redis.call('DEL', name)
  notify(me, 'damaged', name)
end

local function check_reply(reply, name)
  if type(reply) ~= 'table' or not reply.err then return reply end
  -- Out of memory, for example: then nothing is wrong with the record.
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err, 0) end
  discard(name)
  return false
end

-- One field of a hash, or nil.
local function field_of(name, field)
  return check_reply(redis.pcall('HGET', name, field), name) or nil
end

-- All fields of a hash, and whether the key was of another type. Without the key, there are none.
local function fields_of(name)
  local list, f = check_reply(redis.pcall('HGETALL', name), name), {}
  for i = 1, #(list or {}), 2 do f[list[i]] = list[i + 1] end
  return f, not list
end

local NUMBER, NUMBER_OR_NEVER, WORD = '^%d+$', '^[%d-]%d*$', '^%l+$'
local SESSION = {
  id = '^[%w-]+$', ver = NUMBER, b = '^-?%d+$', l = NUMBER, p = '^[lun]$', w = WORD, f = NUMBER, o = '^[%w-]*$',
  ua = NUMBER, ea = NUMBER_OR_NEVER, vs = NUMBER,
}
local SHARE = '^[01] [01] [%d-]%d* %d+[%d ]*$'

local function has(f, patterns)
  for field, pattern in pairs(patterns) do
    if not f[field] or not string.find(f[field], pattern) then return false end
  end
  return true
end

local function is_session(f)
  if not has(f, SESSION) or (f.p == 'u' and not has(f, { cu = NUMBER, cn = '^[%w-]+$' })) then return false end
  for field, value in pairs(f) do
    if string.sub(field, 1, 2) == 'k:' and not string.find(value, SHARE) then return false end
  end
  return true
end

-- Records that a session has ended, until its end is completed.
local function save_end(k, f, reason)
  local x = key('x', f.id)
  redis.call('DEL', x)
  redis.call('HSET', x, 'k', k, 'why', reason, 'b', f.b, 'l', f.l, 'p', f.p, 'f', f.f)
  for _, field in ipairs({ 'y', 'sc' }) do
    if f[field] then redis.call('HSET', x, field, f[field]) end
  end
  if redis.call('EXISTS', key('v', k)) == 1 then redis.call('RENAME', key('v', k), key('xv', f.id)) end
end

-- Ends a session whose record is damaged. If its id can be read, its hooks run; other fields get default values.
local function end_damaged_session(k, f)
  local id = has(f, { id = SESSION.id }) and f.id
  redis.call('ZREM', key('due', ''), k)
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do
    redis.call('SREM', key('n', node), k)
    redis.call('ZREM', key('due', node), k)
    if id then notify(node, 'ended', id, '0', 'disconnected') end
  end
  if not id then
    redis.call('DEL', key('v', k))
    return
  end
  for field, value in pairs({ b = text(now), l = '1', p = 'l', f = '0' }) do
    if not has(f, { [field] = SESSION[field] }) then f[field] = value end
  end
  save_end(k, f, 'disconnected')
  redis.call('ZADD', key('due', me), now, 'x:' .. id)
  notify(me, 'due')
end

local function read_session(k)
  local f, is_damaged = fields_of(key('s', k))
  if not is_damaged and not next(f) then return nil end
  if is_damaged or not is_session(f) then
    if not is_damaged then discard(key('s', k)) end
    end_damaged_session(k, f)
    return nil
  end
  local s = { k = k, f = f, old = {} }
  for field, value in pairs(f) do s.old[field] = value end
  return s
end

-- Whether the session has that id.
local function is_current(k, id)
  local found = redis.pcall('HGET', key('s', k), 'id')
  if type(found) ~= 'table' then return found == id end
  read_session(k)
  return false
end

-- Reads a session in order to change it: increases its version.
local function update_session(k)
  local s = read_session(k)
  if s then s.f.ver = text(s.f.ver + 1) end
  return s
end

local function write_session(s)
  local set, del = {}, {}
  for field, value in pairs(s.f) do
    if s.old[field] ~= value then set[#set + 1] = field; set[#set + 1] = value end
  end
  for field in pairs(s.old) do if s.f[field] == nil then del[#del + 1] = field end end
  if #set > 0 then redis.call('HSET', key('s', s.k), unpack(set)) end
  if #del > 0 then redis.call('HDEL', key('s', s.k), unpack(del)) end
end

-- scope: of a scope, the id of its session and its key.
local function new_session(k, id, created_at, scope)
  local s = { k = k, old = {} }
  s.f = { id = id, b = text(created_at), l = '1', p = 'l', w = 'disconnected', f = '0', o = me, ua = '0', ea = '0', vs = '0', ver = '1' }
  if scope ~= '' then s.f.sc = scope end
  return s
end

-- The phase of the session that a scope belongs to. The name of a scope begins with the 22 characters of its session.
-- A session has none, and is treated like a scope of a loaded session.
local function phase_above(k)
  local found = #k > 22 and redis.pcall('HGET', key('s', string.sub(k, 1, 22)), 'p')
  return type(found) == 'string' and found or 'l'
end

-- Why a session has ended, or nil.
local function reason_of_end(id)
  local why = field_of(key('x', id), 'why')
  return why and string.match(why, WORD)
end

-- A stored shared value: version, expiry and text; nil if it is damaged.
local function parse_value(found)
  return string.match(found, '^(%d+) ([%d-]%d*) (.*)$')
end
`
