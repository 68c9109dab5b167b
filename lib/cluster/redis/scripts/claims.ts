/** Lua: the commands that end sessions, and that claim, extend and complete work. */
export const CLAIMS = `
local function values_of(at)
  local list = {}
  for name, found in pairs(fields_of(at)) do
    local version, _, data = parse_value(found)
    if version then list[#list + 1] = { name, version, data }
    else notify(me, 'damaged', at .. ' ' .. name) end
  end
  return list
end

local END = { k = '^[%w_-]+$', why = WORD, b = SESSION.b, l = NUMBER, p = SESSION.p, f = NUMBER }

-- The claim of an end; nil if there is no such end.
local function end_claim(id)
  local x = key('x', id)
  local f = fields_of(x)
  if not has(f, END) then
    if next(f) then discard(x) end
    redis.call('ZREM', key('due', me), 'x:' .. id)
    redis.call('DEL', key('xv', id))
    return nil
  end
  local fence = redis.call('HINCRBY', x, 'f', 1)
  redis.call('ZADD', key('due', me), now + CLAIM_TIME, 'x:' .. id)
  return { 'end', f.k, id, f.why, fence, f.b, f.l, f.p ~= 'n' and 1 or 0, f.y and 1 or 0, values_of(key('xv', id)), '0', f.sc or '' }
end

-- Ends the session, and notifies all other nodes with a share. Node 'claimer' gets the claim of the end; returns it to the caller.
local function end_session(s, reason, claimer)
  local id = s.f.id
  for _, node in ipairs(nodes_of(s)) do
    redis.call('SREM', key('n', node), s.k)
    if node ~= claimer and node ~= me then notify(node, 'ended', id, s.f.ver, reason) end
  end
  redis.call('ZREM', key('due', s.f.o), s.k)
  redis.call('DEL', key('s', s.k))
  save_end(s.k, s.f, reason)
  if claimer == me then return end_claim(id) end
  redis.call('ZADD', key('due', claimer), now, 'x:' .. id)
  notify(claimer, 'due')
end

local function unload_claim(s)
  if s.f.p == 'l' then notify_others(s, 'unloaded', s.f.l, s.f.w) end
  s.f.p, s.f.cu, s.f.cn = 'u', text(now + CLAIM_TIME), me
  s.f.f = text(s.f.f + 1)
  schedule(s, me)
  return { 'unload', s.k, s.f.id, s.f.w, tonumber(s.f.f), s.f.b, s.f.l, 1, s.f.y and 1 or 0, {}, s.f.ver, s.f.sc or '' }
end

-- Claims the work that is due in an updated session: returns the claim, or nil and the delay until something is due.
local function claim_due(s)
  local at, ending = due(s)
  if s.f.p == 'u' then return nil, schedule(s, s.f.o) end
  if at > now then return nil, schedule(s, me) end
  return ending <= now and end_session(s, s.f.w, me) or unload_claim(s), -1
end

-- Ends a session. Returns a claim, or {} if this node has nothing to do.
commands['end'] = function(k, id, reason)
  local s = update_session(k)
  if not s or s.f.id ~= id then return {} end
  if reason == 'evicted' then
    drop_share(s, me)
    local loaded, state = any_keeps(s)
    if loaded or state then
      redis.call('SREM', key('n', me), k)
      schedule(s, s.f.o == me and nodes_of(s)[1] or s.f.o)
      return {}
    end
  end
  local busy = s.f.p == 'u' and s.f.cn ~= me and redis.call('HEXISTS', key('seq'), s.f.cn) == 1
  return end_session(s, reason, busy and s.f.cn or me) or {}
end

local function claim_session(k)
  local s = update_session(k)
  if not s or s.f.o ~= me then redis.call('ZREM', key('due', me), k); return nil end
  local at, ending = due(s)
  if at > now then schedule(s, me); return nil end
  if ending <= now then return end_session(s, s.f.w, me) end
  return unload_claim(s)
end

local function claim_expired_value(member)
  redis.call('ZREM', key('due', me), member)
  local k, name = string.match(member, '^v:([^:]+):(.*)$')
  local s = k and read_session(k)
  if not s then return nil end
  local version, expiry, data = value_of(k, name)
  -- It was written again since, and its deadline is another node's, or later.
  if not version or expiry == '-' or tonumber(expiry) > now then return nil end
  redis.call('HDEL', key('v', k), name)
  return value_claim(release(s, name, version, data, 'timeToLive'))
end

-- Claims due work: { delay until more is due, claim, … }. A claim is { phase, session, id, reason, fence, createdAt, … }:
-- for unload and end { …, load, is loaded, had a page, { { name, version, text }, … }, version of the session, scope }, for a value
-- { …, name, version, text, scope }.
function commands.claim(limit)
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

local function is_claimed(kind, id, fence)
  return field_of(key(kind, id), 'f') == text(fence)
end

-- The session, if its unload is claimed with that fence.
local function unloading(k, id, fence)
  local s = update_session(k)
  return s and s.f.id == id and s.f.p == 'u' and s.f.f == text(fence) and s or nil
end

-- Extends a claim: { 1 }, or { 0 } if it is lost.
function commands.extend(phase, k, id, fence)
  if phase == 'unload' then
    local s = unloading(k, id, fence)
    if not s then return { 0 } end
    s.f.cu = text(now + CLAIM_TIME)
    schedule(s, me)
    return { 1 }
  end
  local kind = phase == 'end' and 'x' or 'r'
  if not is_claimed(kind, id, fence) then return { 0 } end
  redis.call('ZADD', key('due', me), now + CLAIM_TIME, kind .. ':' .. id)
  return { 1 }
end

-- Completes a claim: { 1, due in, version, { load, had a page, whether this node runs the load hooks } or {} if it isn't loaded
-- again, claim of the next work }; or { 0 } if it is lost.
function commands.complete(phase, k, id, fence)
  if phase == 'unload' then
    local s = unloading(k, id, fence)
    if not s then return { 0 } end
    s.f.p, s.f.cu, s.f.cn = 'n', nil, nil
    local again = {}
    if any_keeps(s) and phase_above(k) == 'l' then
      local runs = load_again(s)
      again = { s.f.l, s.f.h and 1 or 0, runs and 1 or 0 }
    end
    local claim, at = claim_due(s)
    return { 1, at, s.f.ver, again, claim }
  end
  local kind = phase == 'end' and 'x' or 'r'
  if not is_claimed(kind, id, fence) then return { 0 } end
  redis.call('ZREM', key('due', me), kind .. ':' .. id)
  redis.call('DEL', key(kind, id))
  if kind == 'x' then
    redis.call('DEL', key('xv', id))
    -- For nodes that have not received the end yet.
    redis.call('SET', key('gone', id), '1', 'PX', 60000)
  end
  return { 1 }
end
`
