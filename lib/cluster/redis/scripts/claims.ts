/** Lua: the orders by which sessions end, and by which nodes claim work, ask for more time for it and complete it. */
export const CLAIMS = `
local function values_of(at)
  local list, fields = {}, redis.call('HGETALL', at)
  for i = 1, #fields, 2 do
    local version, _, data = string.match(fields[i + 1], '^(%d+) (%S+) (.*)$')
    list[#list + 1] = { fields[i], version, data }
  end
  return list
end

local function end_claim(id)
  local x = key('x', id)
  local f = redis.call('HMGET', x, 'k', 'why', 'b', 'l', 'p', 'y')
  local fence = redis.call('HINCRBY', x, 'f', 1)
  redis.call('ZADD', key('due', me), now + VISIBLE, 'x:' .. id)
  return { 'end', f[1], id, f[2], fence, f[3], f[4], f[5] ~= 'n' and 1 or 0, f[6] and 1 or 0, values_of(key('xv', id)), '0' }
end

-- Ends the session, and tells all other nodes that have a share. The end is for that node to claim: gives it if that is the caller.
local function finish(s, reason, claimer)
  local id = s.f.id
  for _, node in ipairs(nodes_of(s)) do
    redis.call('SREM', key('n', node), s.k)
    if node ~= claimer and node ~= me then tell(node, 'gone', id, s.f.ver, reason) end
  end
  redis.call('ZREM', key('due', s.f.o), s.k)
  redis.call('DEL', key('s', s.k))
  redis.call('HSET', key('x', id), 'k', s.k, 'why', reason, 'b', s.f.b, 'l', s.f.l, 'p', s.f.p, 'f', s.f.f)
  if s.f.y then redis.call('HSET', key('x', id), 'y', '1') end
  if redis.call('EXISTS', key('v', s.k)) == 1 then redis.call('RENAME', key('v', s.k), key('xv', id)) end
  if claimer == me then return end_claim(id) end
  redis.call('ZADD', key('due', claimer), now, 'x:' .. id)
  tell(claimer, 'due')
end

local function unload_claim(s)
  if s.f.p == 'l' then tell_others(s, 'unloaded', s.f.l, s.f.w) end
  s.f.p, s.f.cu, s.f.cn = 'u', text(now + VISIBLE), me
  s.f.f = text(s.f.f + 1)
  arm(s, me)
  return { 'unload', s.k, s.f.id, s.f.w, tonumber(s.f.f), s.f.b, s.f.l, 1, s.f.y and 1 or 0, {}, s.f.ver }
end

-- What is due of a changed session is this node's work: gives the claim, or nil and the delay until something is due.
local function work(s)
  local at, ending = due(s)
  if s.f.p == 'u' then return nil, arm(s, s.f.o) end
  if at > now then return nil, arm(s, me) end
  return ending <= now and finish(s, s.f.w, me) or unload_claim(s), -1
end

-- Ends a session: a claim, or {} where there is nothing to do for this node.
orders['end'] = function(k, id, reason)
  local s = change(k)
  if not s or s.f.id ~= id then return {} end
  if reason == 'evicted' then
    drop_share(s, me)
    local loaded, state = kept(s)
    if loaded or state then
      redis.call('SREM', key('n', me), k)
      arm(s, s.f.o == me and nodes_of(s)[1] or s.f.o)
      return {}
    end
  end
  local busy = s.f.p == 'u' and s.f.cn ~= me and redis.call('HEXISTS', key('seq'), s.f.cn) == 1
  return finish(s, reason, busy and s.f.cn or me) or {}
end

local function claim_session(k)
  local s = change(k)
  if not s or s.f.o ~= me then redis.call('ZREM', key('due', me), k); return nil end
  local at, ending = due(s)
  if at > now then arm(s, me); return nil end
  if ending <= now then return finish(s, s.f.w, me) end
  return unload_claim(s)
end

local function claim_expired_value(member)
  redis.call('ZREM', key('due', me), member)
  local k, name = string.match(member, '^v:([^:]+):(.*)$')
  local s = load(k)
  local version, expiry, data = value_of(k, name)
  -- It was written again since, and is due elsewhere, or later.
  if not s or not version or expiry == '-' or tonumber(expiry) > now then return nil end
  redis.call('HDEL', key('v', k), name)
  return value_claim(release(s, name, version, data, 'timeToLive'))
end

-- What is due for this node: { next due in, claim, … }. A claim is { phase, session, id, reason, fence, began, … }:
-- of unload and end { …, load, is loaded, had a page, { { name, version, text }, … }, version of the session }, of a value
-- { …, name, version, text }.
function orders.claim(limit)
  local list = { -1 }
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('due', me), '-inf', now, 'LIMIT', 0, limit)) do
    local kind, claim = string.sub(member, 1, 2), nil
    if kind == 'x:' then claim = end_claim(string.sub(member, 3))
    elseif kind == 'r:' then claim = value_claim(string.sub(member, 3))
    elseif kind == 'v:' then claim = claim_expired_value(member)
    else claim = claim_session(member) end
    if claim then list[#list + 1] = claim end
  end
  list[1] = next_due()
  return list
end

local function is_claimed(what, id, fence)
  return redis.call('HGET', key(what, id), 'f') == text(fence)
end

-- The session whose unload is claimed with that fence.
local function unloading(k, id, fence)
  local s = change(k)
  return s and s.f.id == id and s.f.p == 'u' and s.f.f == text(fence) and s or nil
end

-- More time for a claim: { 1 }, or { 0 } when it is lost.
function orders.extend(phase, k, id, fence)
  if phase == 'unload' then
    local s = unloading(k, id, fence)
    if not s then return { 0 } end
    s.f.cu = text(now + VISIBLE)
    arm(s, me)
    return { 1 }
  end
  local what = phase == 'end' and 'x' or 'r'
  if not is_claimed(what, id, fence) then return { 0 } end
  redis.call('ZADD', key('due', me), now + VISIBLE, what .. ':' .. id)
  return { 1 }
end

-- A claim's work is done: { 1, due in, version, { load, had a page, whether this node runs the load hooks } or {} where it is not
-- loaded again, claim of what follows }; or { 0 } when it was lost.
function orders.complete(phase, k, id, fence)
  if phase == 'unload' then
    local s = unloading(k, id, fence)
    if not s then return { 0 } end
    s.f.p, s.f.cu, s.f.cn = 'n', nil, nil
    local again = {}
    if kept(s) then
      local runs = load_again(s)
      again = { s.f.l, s.f.h and 1 or 0, runs and 1 or 0 }
    end
    local claim, at = work(s)
    return { 1, at, s.f.ver, again, claim }
  end
  local what = phase == 'end' and 'x' or 'r'
  if not is_claimed(what, id, fence) then return { 0 } end
  redis.call('ZREM', key('due', me), what .. ':' .. id)
  redis.call('DEL', key(what, id))
  if what == 'x' then
    redis.call('DEL', key('xv', id))
    -- For nodes whom word of it has not reached.
    redis.call('SET', key('gone', id), '1', 'PX', 60000)
  end
  return { 1 }
end
`
