/** Lua: the beginning of all scripts: keys, times, notifications, and the session hash. Fields are documented in index.ts. */
export const PRELUDE = `
local tag, me, channel = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local INF, CLAIM_TIME = math.huge, 15000

local function key(kind, name) return tag .. ':' .. kind .. (name and ':' .. name or '') end
local function text(number) return string.format('%.0f', number) end
local function split(line)
  local list = {}
  for word in string.gmatch(line or '', '%S+') do list[#list + 1] = word end
  return list
end
local function deadline(delay) return delay < 0 and '-' or text(now + delay) end

local function notify(node, ...)
  if node == '' then return end
  redis.call('RPUSH', key('in', node), cjson.encode({...}))
  redis.call('PUBLISH', channel .. node, tag)
end

local function read_session(k)
  local fields = redis.call('HGETALL', key('s', k))
  if #fields == 0 then return nil end
  local s = { k = k, f = {}, old = {} }
  for i = 1, #fields, 2 do s.f[fields[i]] = fields[i + 1]; s.old[fields[i]] = fields[i + 1] end
  return s
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

local function new_session(k, id, created_at)
  local s = { k = k, old = {} }
  s.f = { id = id, b = text(created_at), l = '1', p = 'l', w = 'disconnected', f = '0', o = me, ua = '0', ea = '0', vs = '0', ver = '1' }
  return s
end
`
