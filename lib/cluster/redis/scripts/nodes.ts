/** Lua: what becomes of a node's shares and work when it closes or dies. */
export const NODES = `
-- A node is gone since then, as if its sockets broke. What it kept is due so long after.
local function part_with(s, node, at, unload_in, end_in)
  local share = share_of(s, node)
  drop_share(s, node)
  if not share then return end
  if share.loaded then
    local expected = tonumber(share.expected[#share.expected]) or 0
    s.f.ua = text(math.max(tonumber(s.f.ua), at + unload_in, expected))
  end
  if share.state then
    local ends = tonumber(share.ends) or INF
    if end_in >= 0 then ends = math.min(ends, at + end_in) end
    if ends == INF then s.f.ea = '-'
    elseif s.f.ea ~= '-' then s.f.ea = text(math.max(tonumber(s.f.ea), ends)) end
  end
end

-- So it is with its sessions, of which the heir claims what the node was to. What it was unloading is to be done now.
local function part_with_all(node, heir, at, unload_in, end_in, limit)
  for _, k in ipairs(redis.call('SPOP', key('n', node), limit)) do
    local s = change(k)
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
      local s = change(member)
      if s and s.f.o == node then
        if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
        arm(s, heir)
      end
    end
    redis.call('ZREM', key('due', node), member)
  end
end

-- Where no node at all has given a heartbeat for so long, it was Redis that was away: all have time to come back.
local function spare_nodes(dead)
  local newest = redis.call('ZREVRANGE', key('nodes'), 0, 0, 'WITHSCORES')
  if not newest[2] or now - newest[2] < dead / 2 then return end
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do redis.call('ZADD', key('nodes'), now, node) end
end
`
