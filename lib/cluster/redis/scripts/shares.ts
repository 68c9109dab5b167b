/** Lua: what each node keeps of a session, and what is due when no node keeps it. */
export const SHARES = `
-- A node's share: { loaded, state, ends, navigations, expected }; nil if it has none. Deadlines in the past are left out.
local function share_of(s, node)
  local w = split(s.f['k:' .. node])
  if not w[1] then return nil end
  local share = { loaded = w[1] == '1', state = w[2] == '1', ends = w[3], navigations = tonumber(w[4]), expected = {} }
  for i = 5, #w do if tonumber(w[i]) > now then share.expected[#share.expected + 1] = w[i] end end
  return share
end

local function save_share(s, node, share)
  local w = { share.loaded and '1' or '0', share.state and '1' or '0', share.ends, text(share.navigations) }
  for _, at in ipairs(share.expected) do w[#w + 1] = at end
  s.f['k:' .. node] = table.concat(w, ' ')
end

-- A share from the arguments of a command, in which times are delays.
local function share_from(loaded, state, end_in, navigations, expected)
  local share = { loaded = loaded, state = state, ends = deadline(end_in), navigations = navigations, expected = {} }
  for i, delay in ipairs(expected) do share.expected[i] = text(now + delay) end
  return share
end

local function nodes_of(s)
  local list = {}
  for field in pairs(s.f) do
    local node = string.match(field, '^k:(.*)$')
    if node then list[#list + 1] = node end
  end
  return list
end

-- Whether any node keeps the session loaded, and whether any node keeps its state.
local function any_keeps(s)
  local loaded, state = false, false
  for _, node in ipairs(nodes_of(s)) do
    local flags = s.f['k:' .. node]
    loaded = loaded or string.sub(flags, 1, 1) == '1'
    state = state or string.sub(flags, 3, 3) == '1'
  end
  return loaded, state
end

-- The number of pages, and how many of them other nodes have.
local function pages_of(s)
  local pages, elsewhere = 0, 0
  for field, node in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' then
      pages = pages + 1
      if node ~= me then elsewhere = elsewhere + 1 end
    end
  end
  return pages, elsewhere
end

-- Notifies all other nodes with a share.
local function notify_others(s, kind, ...)
  for _, node in ipairs(nodes_of(s)) do
    if node ~= me then notify(node, kind, s.f.id, s.f.ver, ...) end
  end
end

-- The node that expects a page with the earliest deadline, or that has a navigation in flight.
local function node_expecting_page(s, but)
  local first, ends = nil, INF
  for _, node in ipairs(nodes_of(s)) do
    if node ~= but then
      local share = share_of(s, node)
      local at = tonumber(share.expected[1]) or (share.navigations > 0 and 1e15) or INF
      if at < ends or (at == ends and at < INF and node == me) then first, ends = node, at end
    end
  end
  return first
end

-- A page has connected: finds the node that expects it, and removes the expectation.
local function match_page(s)
  local node = node_expecting_page(s)
  if not node then return nil end
  local share = share_of(s, node)
  if #share.expected > 0 then table.remove(share.expected, 1) else share.navigations = share.navigations - 1 end
  save_share(s, node, share)
  return node
end

-- Makes the session loaded. Node 'by' runs the load hooks, or else a node that keeps the session loaded. Returns whether this node does.
local function load_again(s, by)
  s.f.p, s.f.l = 'l', text(s.f.l + 1)
  s.f.h = pages_of(s) > 0 and '1' or nil
  local runner, mine = by, share_of(s, me)
  if not runner and mine and mine.loaded then runner = me end
  for _, node in ipairs(nodes_of(s)) do
    if not runner and share_of(s, node).loaded then runner = node end
  end
  for _, node in ipairs(nodes_of(s)) do
    if node ~= me then notify(node, 'loaded', s.f.id, s.f.ver, s.f.l, s.f.h and 1 or 0, node == runner and 1 or 0) end
  end
  return runner == me
end

-- When the next work is due, and when the end is due.
local function due(s)
  local f = s.f
  if f.p == 'u' then return tonumber(f.cu), INF end
  local loaded, state = any_keeps(s)
  local unload = f.p == 'l' and not loaded and tonumber(f.ua) or INF
  local ending = not state and tonumber(f.ea) or INF
  return math.min(unload, ending), ending
end

-- Assigns the due work of the session to a node. Returns the delay if that is this node, else -1.
local function schedule(s, node)
  local at = due(s)
  if s.f.o ~= node then redis.call('ZREM', key('due', s.f.o), s.k) end
  s.f.o = node
  write_session(s)
  if at == INF then
    redis.call('ZREM', key('due', node), s.k)
    return -1
  end
  local before = redis.call('ZSCORE', key('due', node), s.k)
  redis.call('ZADD', key('due', node), at, s.k)
  if node == me then return math.max(at - now, 0) end
  if not before or at < tonumber(before) then notify(node, 'due') end
  return -1
end

-- The delay until something is due for this node.
local function next_due()
  local first = redis.call('ZRANGE', key('due', me), 0, 0, 'WITHSCORES')
  return first[2] and math.max(math.ceil(first[2] - now), 0) or -1
end

-- Deletes a node's share, its pages, and its mark for local values.
local function drop_share(s, node)
  for field, value in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' and value == node then s.f[field] = nil end
  end
  s.f['k:' .. node], s.f['v:' .. node] = nil, nil
end
`
