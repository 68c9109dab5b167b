/** Lua: the orders that concern shared values. */
export const VALUES = `
local function value_of(k, name)
  local found = redis.call('HGET', key('v', k), name)
  if not found then return nil end
  return string.match(found, '^(%d+) (%S+) (.*)$')
end

local function keep_value(k, name, version, ttl, data)
  local expiry = ttl < 0 and '-' or text(now + ttl)
  redis.call('HSET', key('v', k), name, version .. ' ' .. expiry .. ' ' .. data)
  if ttl >= 0 then redis.call('ZADD', key('due', me), now + ttl, 'v:' .. k .. ':' .. name) end
end

-- A shared value leaves: kept aside until its callback has run.
local function release(s, name, version, data, reason)
  local id = s.f.id .. ':' .. version
  redis.call('HSET', key('r', id), 'k', s.k, 'id', s.f.id, 'n', name, 'v', version, 'd', data, 'why', reason, 'b', s.f.b, 'f', '0')
  return id
end

local function value_claim(id)
  local r = key('r', id)
  local f = redis.call('HMGET', r, 'k', 'id', 'n', 'v', 'd', 'why', 'b')
  local fence = redis.call('HINCRBY', r, 'f', 1)
  redis.call('ZADD', key('due', me), now + VISIBLE, 'r:' .. id)
  return { 'value', f[1], f[2], f[6], fence, f[7], f[3], f[4], f[5] }
end

-- A shared value: { version, text }, or {}; { 'ENDED' } for a session that has ended, as with all that follow.
function orders.read(k, id, name)
  if redis.call('HGET', key('s', k), 'id') ~= id then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  return { tonumber(version), data }
end

-- { 1 or 0 whether it was written, due in, claim of the value that it replaced }
function orders.write(k, id, name, data, ttl, over, claims_replaced)
  local s = load(k)
  if not s or s.f.id ~= id then return { 'ENDED' } end
  local version, _, present = value_of(k, name)
  if over >= 0 and tonumber(version or 0) ~= over then return { 0 } end
  if version and present == data then
    keep_value(k, name, version, ttl, data)
    return { 1, ttl }
  end
  s.f.vs = text(s.f.vs + 1)
  save(s)
  keep_value(k, name, s.f.vs, ttl, data)
  if not version or not claims_replaced then return { 1, ttl } end
  return { 1, ttl, value_claim(release(s, name, version, present, 'replaced')) }
end

-- { 1 or 0 whether there is one, due in }
function orders.touch(k, id, name, ttl)
  if redis.call('HGET', key('s', k), 'id') ~= id then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return { 0, -1 } end
  keep_value(k, name, version, ttl, data)
  return { 1, ttl }
end

-- { claim }, or {} where there was none
function orders.delete(k, id, name)
  local s = load(k)
  if not s or s.f.id ~= id then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  redis.call('HDEL', key('v', k), name)
  return { value_claim(release(s, name, version, data, 'deleted')) }
end
`
