/** Lua: what becomes of that which a node held and was to claim when it goes or dies. */
export const NODES = `
-- A node is gone, as if all that it held had broken off at that time.
local function part_with(s, node, at, unload_in, end_in)
  if not drop_part(s, node) then return end
  s.f.ua = text(math.max(tonumber(s.f.ua), at + unload_in))
  s.f.ea = end_in < 0 and '' or text(at + end_in)
end

-- So are its sessions, of which the heir claims what the node was to. What it was unloading is to be done now.
local function part_with_all(node, heir, at, unload_in, end_in, limit)
  for _, k in ipairs(redis.call('SPOP', key('n', node), limit)) do
    local s = load(k)
    if s then
      part_with(s, node, at, unload_in, end_in)
      if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
      arm(s, s.f.o == node and heir or s.f.o)
    end
  end
end

-- What else a node was to claim is the heir's. What it was working on is to be done now.
local function pass_on(node, heir, limit)
  for _, member in ipairs(redis.call('ZRANGE', key('due', node), 0, limit - 1)) do
    if string.find(member, ':', 1, true) then
      local is_value = string.sub(member, 1, 2) == 'v:'
      redis.call('ZADD', key('due', heir), is_value and redis.call('ZSCORE', key('due', node), member) or now, member)
      if heir ~= me then tell(heir, 'due') end
    else
      local s = load(member)
      if s and s.f.o == node then
        if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
        arm(s, heir)
      end
    end
    redis.call('ZREM', key('due', node), member)
  end
end

-- Where no node at all has given a sign of life for so long, it was Redis that was away: all have time to come back.
local function spare_nodes(dead)
  local newest = redis.call('ZREVRANGE', key('nodes'), 0, 0, 'WITHSCORES')
  if not newest[2] or now - newest[2] < dead / 2 then return end
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do redis.call('ZADD', key('nodes'), now, node) end
end
`
