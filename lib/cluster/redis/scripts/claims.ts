/** Lua: the orders by which sessions end, and by which nodes claim what is due, keep and settle it. */
export const CLAIMS = `
local function values_of(at)
  local list, flat = {}, redis.call('HGETALL', at)
  for i = 1, #flat, 2 do
    local version, _, data = string.match(flat[i + 1], '^(%d+) (%S+) (.*)$')
    list[#list + 1] = { flat[i], version, data }
  end
  return list
end

local function end_claim(life)
  local x = key('x', life)
  local f = redis.call('HMGET', x, 'k', 'why', 'b', 'l', 'p', 'y')
  local fence = redis.call('HINCRBY', x, 'f', 1)
  redis.call('ZADD', key('due', me), now + VISIBLE, 'x:' .. life)
  return { 'end', f[1], life, f[2], fence, f[3], f[4], f[5] ~= 'n' and 1 or 0, f[6] and 1 or 0, values_of(key('xv', life)) }
end

-- Ends the life, and tells all other nodes that have a part in it. It is for that node to claim.
local function finish(s, reason, claimer)
  local life = s.f.id
  for field in pairs(s.f) do
    local node = string.match(field, '^n:(.*)$')
    if node then
      redis.call('SREM', key('n', node), s.k)
      if node ~= claimer and node ~= me then tell(node, 'gone', life, reason) end
    end
  end
  redis.call('ZREM', key('due', s.f.o), s.k)
  redis.call('DEL', key('s', s.k))
  redis.call('HSET', key('x', life), 'k', s.k, 'why', reason, 'b', s.f.b, 'l', s.f.l, 'p', s.f.p, 'f', s.f.f)
  if s.f.y then redis.call('HSET', key('x', life), 'y', '1') end
  if redis.call('EXISTS', key('v', s.k)) == 1 then redis.call('RENAME', key('v', s.k), key('xv', life)) end
  if claimer == me then return end_claim(life) end
  redis.call('ZADD', key('due', claimer), now, 'x:' .. life)
  tell(claimer, 'due')
end

-- Ends a life: a claim, or {} where there is nothing to do for this node.
orders['end'] = function(k, life, reason)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  if reason == 'evicted' then
    drop_part(s, me)
    local _, _, _, holders = count(s)
    if holders > 0 then
      redis.call('SREM', key('n', me), k)
      local heir = s.f.o
      for field in pairs(s.f) do heir = string.match(field, '^n:(.*)$') or heir end
      arm(s, heir)
      return {}
    end
  end
  local busy = s.f.p == 'u' and s.f.cn ~= me and redis.call('HEXISTS', key('seq'), s.f.cn) == 1
  return finish(s, reason, busy and s.f.cn or me) or {}
end

local function claim_session(k)
  local s = load(k)
  if not s then redis.call('ZREM', key('due', me), k); return nil end
  local at, ending = due(s)
  if s.f.o ~= me then redis.call('ZREM', key('due', me), k); return nil end
  if at > now then arm(s, me); return nil end
  if ending <= now then return finish(s, s.f.w, me) end
  if s.f.p == 'l' then tell_others(s, 'unloaded', s.f.id, s.f.w, s.f.l) end
  s.f.p, s.f.cu, s.f.cn, s.f.aw = 'u', text(now + VISIBLE), me, nil
  s.f.f = text(s.f.f + 1)
  arm(s, me)
  return { 'unload', k, s.f.id, s.f.w, tonumber(s.f.f), s.f.b, s.f.l, 1, s.f.y and 1 or 0, {} }
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

-- What is due for this node: { next due in, claim, … }. A claim is { phase, session, life, reason, fence, began, … }:
-- of unload and end { …, load, is loaded, had a page, { { name, version, text }, … } }, of a value { …, name, version, text }.
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

local function kept(what, id, fence)
  return redis.call('HGET', key(what, id), 'f') == text(fence)
end

-- More time for a claim: { 1 }, or { 0 } when it is lost.
function orders.renew(phase, k, id, fence)
  if phase == 'unload' then
    local s = load(k)
    if not s or s.f.id ~= id or s.f.p ~= 'u' or s.f.f ~= text(fence) then return { 0 } end
    s.f.cu = text(now + VISIBLE)
    arm(s, me)
    return { 1 }
  end
  local what = phase == 'end' and 'x' or 'r'
  if not kept(what, id, fence) then return { 0 } end
  redis.call('ZADD', key('due', me), now + VISIBLE, what .. ':' .. id)
  return { 1 }
end

-- A claim's work is done: { 1, due in }, or { 0 } when it was lost.
function orders.settle(phase, k, id, fence)
  if phase == 'unload' then
    local s = load(k)
    if not s or s.f.id ~= id or s.f.p ~= 'u' or s.f.f ~= text(fence) then return { 0 } end
    s.f.p, s.f.cu, s.f.cn = 'n', nil, nil
    return { 1, arm(s, me) }
  end
  local what = phase == 'end' and 'x' or 'r'
  if not kept(what, id, fence) then return { 0 } end
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
