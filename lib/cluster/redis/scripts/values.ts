/** Lua: the commands for shared values. */
export const VALUES = `
local function value_of(k, name)
  local v = key('v', k)
  local found = field_of(v, name)
  if not found then return nil end
  local version, expiry, data = parse_value(found)
  if version then return version, expiry, data end
  redis.call('HDEL', v, name)
  notify(me, 'damaged', v .. ' ' .. name)
end

local function save_value(k, name, version, ttl, data)
  local expiry = ttl < 0 and '-' or text(now + ttl)
  redis.call('HSET', key('v', k), name, version .. ' ' .. expiry .. ' ' .. data)
  if ttl >= 0 then redis.call('ZADD', key('due', me), now + ttl, 'v:' .. k .. ':' .. name) end
end

-- Moves a deleted shared value to a hash of its own, until its callback has run.
local function release(s, name, version, data, reason)
  local id = s.f.id .. ':' .. version
  redis.call('DEL', key('r', id))
  redis.call('HSET', key('r', id), 'k', s.k, 'id', s.f.id, 'n', name, 'v', version, 'd', data, 'why', reason, 'b', s.f.b, 'f', '0', 'sc', s.f.sc or '')
  return id
end

local DELETED = { k = '^[%w_-]+$', id = SESSION.id, n = '', v = NUMBER, d = '', why = '^%a+$', b = SESSION.b, f = NUMBER }

-- The claim of a deleted value; nil if there is none.
local function value_claim(id)
  local r = key('r', id)
  local f = fields_of(r)
  if not has(f, DELETED) then
    if next(f) then discard(r) end
    redis.call('ZREM', key('due', me), 'r:' .. id)
    return nil
  end
  local fence = redis.call('HINCRBY', r, 'f', 1)
  redis.call('ZADD', key('due', me), now + CLAIM_TIME, 'r:' .. id)
  return { 'value', f.k, f.id, f.why, fence, f.b, f.n, f.v, f.d, f.sc or '' }
end

-- A shared value: { version, text }, or {}. This and the following commands return { 'ENDED' } if the session has ended.
function commands.read(k, id, name)
  if not is_current(k, id) then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  return { tonumber(version), data }
end

-- { whether it was written (1 or 0), due in, claim of the replaced value }
function commands.write(k, id, name, data, ttl, if_version, claims_replaced)
  local s = read_session(k)
  if not s or s.f.id ~= id then return { 'ENDED' } end
  local version, _, present = value_of(k, name)
  if if_version >= 0 and tonumber(version or 0) ~= if_version then return { 0 } end
  if version and present == data then
    save_value(k, name, version, ttl, data)
    return { 1, ttl }
  end
  s.f.vs = text(s.f.vs + 1)
  write_session(s)
  save_value(k, name, s.f.vs, ttl, data)
  if not version or not claims_replaced then return { 1, ttl } end
  return { 1, ttl, value_claim(release(s, name, version, present, 'replaced')) }
end

-- { whether there is a value (1 or 0), due in }
function commands.touch(k, id, name, ttl)
  if not is_current(k, id) then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return { 0, -1 } end
  save_value(k, name, version, ttl, data)
  return { 1, ttl }
end

-- { claim }, or {} if there was no value
function commands.delete(k, id, name)
  local s = read_session(k)
  if not s or s.f.id ~= id then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  redis.call('HDEL', key('v', k), name)
  return { value_claim(release(s, name, version, data, 'deleted')) }
end
`
