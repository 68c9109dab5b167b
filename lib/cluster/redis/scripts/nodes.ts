/** Lua: what happens to a node's shares and work when it closes or crashes. */
export const NODES = `
local function forget_node(node)
  redis.call('ZREM', key('nodes'), node)
  for _, name in ipairs({ 'seq', 'about' }) do redis.call('HDEL', key(name), node) end
  for _, name in ipairs({ 'in', 'old' }) do redis.call('DEL', key(name, node)) end
end

-- Removes a node that was lost at time 'at' from a session, as if its sockets broke: what it kept becomes due after the delays.
local function remove_node(s, node, at, unload_in, end_in)
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

-- Removes a node from its sessions. The successor claims their due work. A claimed unload can be claimed again at once.
local function remove_from_sessions(node, successor, at, unload_in, end_in, limit)
  for _, k in ipairs(redis.call('SPOP', key('n', node), limit)) do
    local s = update_session(k)
    if s then
      remove_node(s, node, at, unload_in, end_in)
      if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
      schedule(s, s.f.o == node and successor or s.f.o)
    end
  end
end

-- Transfers the rest of a node's due work to the successor. Claimed work can be claimed again at once.
local function transfer_work(node, successor, limit)
  for _, member in ipairs(redis.call('ZRANGE', key('due', node), 0, limit - 1)) do
    if string.find(member, ':', 1, true) then
      local is_value = string.sub(member, 1, 2) == 'v:'
      redis.call('ZADD', key('due', successor), is_value and redis.call('ZSCORE', key('due', node), member) or now, member)
      if successor ~= me then notify(successor, 'due') end
    else
      local s = update_session(member)
      if s and s.f.o == node then
        if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
        schedule(s, successor)
      end
    end
    redis.call('ZREM', key('due', node), member)
  end
end

-- If no node has sent a heartbeat for so long, Redis was unavailable: all nodes get time to come back.
local function renew_all_nodes(dead)
  local newest = redis.call('ZREVRANGE', key('nodes'), 0, 0, 'WITHSCORES')
  if not newest[2] or now - newest[2] < dead / 2 then return end
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do redis.call('ZADD', key('nodes'), now, node) end
end

-- Deletes records of the shard and its nodes that are of another type. The nodes then report again what is in them.
local function repair_node_records()
  local function check(name, wanted)
    local found = redis.call('TYPE', name).ok
    if found == 'none' or found == wanted then return end
    discard(name)
  end
  -- First, since the others are reported in it.
  check(key('in', me), 'list')
  check(key('nodes'), 'zset')
  for name, wanted in pairs({ seq = 'hash', about = 'hash', epoch = 'string', secret = 'string' }) do check(key(name), wanted) end
  local nodes = redis.call('ZRANGE', key('nodes'), 0, -1)
  nodes[#nodes + 1], nodes[#nodes + 2] = me, ''
  for _, node in ipairs(nodes) do
    for name, wanted in pairs({ n = 'set', old = 'set', due = 'zset', ['in'] = 'list' }) do check(key(name, node), wanted) end
  end
  -- 32 bytes in base64url.
  local secret = redis.call('GET', key('secret'))
  if secret and (#secret ~= 43 or string.find(secret, '[^%w_-]')) then discard(key('secret')) end
end
`
