/** Lua: what all scripts begin with. The keys, the time, a session's fields, and when it is due. */
export const PRELUDE = `
local tag, me, channel = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local INF, VISIBLE = math.huge, 15000

local function key(kind, name) return tag .. ':' .. kind .. (name and ':' .. name or '') end
local function text(number) return string.format('%.0f', number) end
local function words(line)
  local list = {}
  for word in string.gmatch(line or '', '%S+') do list[#list + 1] = word end
  return list
end

local function tell(node, ...)
  if node == '' then return end
  redis.call('RPUSH', key('in', node), cjson.encode({...}))
  redis.call('PUBLISH', channel .. node, tag)
end

local function load(k)
  local flat = redis.call('HGETALL', key('s', k))
  if #flat == 0 then return nil end
  local s = { k = k, f = {}, old = {} }
  for i = 1, #flat, 2 do s.f[flat[i]] = flat[i + 1]; s.old[flat[i]] = flat[i + 1] end
  return s
end

local function save(s)
  local set, del = {}, {}
  for field, value in pairs(s.f) do
    if s.old[field] ~= value then set[#set + 1] = field; set[#set + 1] = value end
  end
  for field in pairs(s.old) do if s.f[field] == nil then del[#del + 1] = field end end
  if #set > 0 then redis.call('HSET', key('s', s.k), unpack(set)) end
  if #del > 0 then redis.call('HDEL', key('s', s.k), unpack(del)) end
end

local function create(k, life, born)
  local s = { k = k, old = {} }
  s.f = { id = life, b = text(born), l = '1', p = 'l', w = 'disconnected', f = '0', o = me, ua = '0', ea = '', vs = '0' }
  return s
end

-- Tells all other nodes that have a part in the session.
local function tell_others(s, ...)
  for field in pairs(s.f) do
    local node = string.match(field, '^n:(.*)$')
    if node and node ~= me then tell(node, ...) end
  end
end

-- Who holds it: pages, those of them elsewhere, navigations, all holders.
local function count(s)
  local pages, elsewhere, navigations, holders = 0, 0, 0, 0
  for field, value in pairs(s.f) do
    local kind = string.sub(field, 1, 2)
    if kind == 'p:' then
      pages = pages + 1
      if value ~= me then elsewhere = elsewhere + 1 end
    elseif kind == 'n:' then
      local part = words(value)
      navigations = navigations + part[1]
      holders = holders + part[1] + part[2]
    end
  end
  return pages, elsewhere, navigations, holders + pages
end

local function due(s)
  local f = s.f
  if f.p == 'u' then return tonumber(f.cu), INF end
  local pages, _, navigations, holders = count(s)
  local unload, ending = INF, INF
  if holders == 0 and f.ea ~= '' then ending = tonumber(f.ea) end
  if f.p == 'l' then
    if f.w == 'expired' then unload = 0
    elseif pages == 0 and navigations == 0 and (f.h or holders == 0) then
      local awaited = words(f.aw)
      unload = math.max(tonumber(f.ua), tonumber(awaited[#awaited] or 0))
    end
  end
  return math.min(unload, ending), ending
end

-- Puts the session where it is claimed from, by that node, when it is due; gives the delay if that is the caller.
local function arm(s, node)
  local at = due(s)
  if s.f.o ~= node then redis.call('ZREM', key('due', s.f.o), s.k) end
  s.f.o = node
  if at == INF then redis.call('ZREM', key('due', node), s.k)
  else redis.call('ZADD', key('due', node), at, s.k) end
  save(s)
  if at == INF then return -1 end
  if node ~= me then tell(node, 'due'); return -1 end
  return math.max(at - now, 0)
end

-- The delay until something is due for this node.
local function next_due()
  local first = redis.call('ZRANGE', key('due', me), 0, 0, 'WITHSCORES')
  return first[2] and math.max(math.ceil(first[2] - now), 0) or -1
end

local function later(delay) return delay < 0 and '' or text(now + delay) end

-- A node has no part any more. Gives whether it held the session.
local function drop_part(s, node)
  local held = false
  for field, value in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' and value == node then s.f[field] = nil; held = true end
  end
  local part = words(s.f['n:' .. node])
  held = held or (part[1] or '0') ~= '0' or (part[2] or '0') ~= '0'
  s.f['n:' .. node], s.f['v:' .. node] = nil, nil
  return held
end
`
