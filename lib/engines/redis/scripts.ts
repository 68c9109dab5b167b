import { createHash } from 'node:crypto'

// All state of a shard is in keys that begin with its tag, `{prefix:number}`: the braces make Redis Cluster keep them in
// one slot (Redis docs, "Cluster specification", hash tags). Below the tag:
//
//   :nodes          sorted set: node -> time of its last beat
//   :seq            hash: node -> number of its last batch. A node that is not in it has lapsed and has to announce itself.
//   :secret         what the nodes sign with; that of the first shard holds
//   :epoch          random, made with the first node: another one means that Redis has lost everything meanwhile
//   :n:<node>       set: the sessions that the node has a part in
//   :due:<node>     sorted set: what that node is to claim -> when. `due:` without a node: for whoever comes next
//   :in:<node>      list: messages for the node, in JSON
//   :s:<session>    hash: one session. The name is a digest of its token, which is a credential
//        id life · b began · l load · p phase (l loaded, u unloading, n unloaded) · w why · f fence · o the node that claims
//        h page since the load · y page ever · ua ea unload and end not before (ea empty: never) · aw er pages awaited, early
//        cu cn an unload is claimed until, by · vs version of the last shared value
//        n:<node> navigations and requests it holds · p:<page> node that holds it · v:<node> has values of its own there
//   :v:<session>    hash: shared values: name -> "version expiry text"
//   :x:<life>       hash: a session that has ended and is not settled;  :xv:<life> its shared values
//   :gone:<life>    for a minute: that life was ended and settled
//   :r:<life>:<version>   hash: a deleted shared value whose callback has not settled
//
// Time is that of Redis, in milliseconds; delays come from the nodes. -1 stands for never, and for none.

const PRELUDE = `
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

local function later(delay) return delay < 0 and '' or text(now + delay) end

local function drop_late(s)
  local awaited = {}
  for _, at in ipairs(words(s.f.aw)) do if tonumber(at) > now then awaited[#awaited + 1] = at end end
  return awaited
end

local function note_early(s, early) s.f.er = early > 0 and text(early) or nil end

local function page_came(s, navigations)
  s.f.h, s.f.y = '1', '1'
  local awaited, early = drop_late(s), tonumber(s.f.er or 0)
  if #awaited > 0 then table.remove(awaited, 1)
  elseif early < navigations then note_early(s, early + 1) end
  s.f.aw = #awaited > 0 and table.concat(awaited, ' ') or nil
end

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

-- A node is gone, as if all that it held had broken off at that time.
local function part_with(s, node, at, unload_in, end_in)
  if not drop_part(s, node) then return end
  s.f.ua = text(math.max(tonumber(s.f.ua), at + unload_in))
  s.f.ea = end_in < 0 and '' or text(at + end_in)
end

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

-- Where no node at all has given a sign of life for so long, it was Redis that was away: all have time to come back.
local function spare_nodes(dead)
  local newest = redis.call('ZREVRANGE', key('nodes'), 0, 0, 'WITHSCORES')
  if not newest[2] or now - newest[2] < dead / 2 then return end
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do redis.call('ZADD', key('nodes'), now, node) end
end

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
`

/**
 * Does what a node asks for, in one batch.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the nodes' channels, the number of the batch, then each order as a JSON array.
 * Returns: `{ 'OK', answer, … }`, an answer for each order as described there; `{ 'LAPSED' }` when nothing was done, since
 * the node has lapsed or a batch was lost.
 */
const APPLY = `${PRELUDE}
if redis.call('HGET', key('seq'), me) ~= text(ARGV[3] - 1) then return { 'LAPSED' } end
redis.call('HSET', key('seq'), me, ARGV[3])

local orders = {}

-- A holder comes, to the life that is there (if 'only' names one: only to that) or to a new one: { life, phase, began, load, pages elsewhere, due in } or {}.
function orders.open(k, life, born, make, only, kind, page, navigations, requests, unload_in, is_new)
  local s, phase = load(k), 'loaded'
  if s and only ~= '' and s.f.id ~= only then return {} end
  if not s then
    if not make then return {} end
    s, phase = create(k, life, born), 'new'
  elseif s.f.p == 'u' then
    phase = 'unloading'
  elseif s.f.p == 'n' then
    phase = 'returned'
    s.f.p, s.f.l = 'l', text(s.f.l + 1)
    s.f.h = count(s) > 0 and '1' or nil
  end
  local _, _, others = count(s)
  if kind == 'page' then
    local node = s.f['p:' .. page]
    s.f['p:' .. page] = me
    if node and node ~= me then tell(node, 'moved', s.f.id, page)
    elseif not node then page_came(s, others) end
  end
  if is_new then s.f.w = 'disconnected' end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  redis.call('SADD', key('n', me), k)
  s.f.ua = text(math.max(tonumber(s.f.ua), now + unload_in))
  local _, elsewhere = count(s)
  local at = arm(s, me)
  return { s.f.id, phase, s.f.b, s.f.l, elsewhere, at }
end

-- A holder has gone: { due in, whether another node has values of its own, too } or {}.
function orders.leave(k, life, kind, page, navigations, requests, unload_in, end_in, await, values)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  if kind == 'page' and s.f['p:' .. page] == me then s.f['p:' .. page] = nil end
  s.f.ea = later(end_in)
  if kind == 'page' or not s.f.h then s.f.ua = text(math.max(tonumber(s.f.ua), now + unload_in)) end
  if kind == 'navigation' then
    local awaited, early = drop_late(s), tonumber(s.f.er or 0)
    if early > 0 then note_early(s, early - 1)
    elseif await >= 0 then awaited[#awaited + 1] = text(now + await) end
    s.f.aw = #awaited > 0 and table.concat(awaited, ' ') or nil
  end
  local shared = 0
  if values then
    s.f['v:' .. me] = '1'
    for field in pairs(s.f) do
      if string.sub(field, 1, 2) == 'v:' and field ~= 'v:' .. me then shared = 1 end
    end
  end
  return { arm(s, me), shared }
end

-- How many of its navigations and requests this node holds: {}.
function orders.sync(k, life, navigations, requests)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  arm(s, s.f.o)
  return {}
end

-- Whether a page is this node's: { 1 or 0 }, also of a life that is over, of which the node hears otherwise.
function orders.holds(k, life, page)
  local s = load(k)
  return { (not s or s.f.id ~= life or s.f['p:' .. page] == me) and 1 or 0 }
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

-- The host session is gone: { due in }.
function orders.expire(k, life, end_in)
  local s = load(k)
  if not s or s.f.id ~= life then return {} end
  s.f.w, s.f.ea = 'expired', later(end_in)
  for field in pairs(s.f) do
    local node = string.match(field, '^n:(.*)$')
    if node and node ~= me then tell(node, 'expired', life) end
  end
  return { arm(s, me) }
end

local function claim_session(k)
  local s = load(k)
  if not s then redis.call('ZREM', key('due', me), k); return nil end
  local at, ending = due(s)
  if s.f.o ~= me then redis.call('ZREM', key('due', me), k); return nil end
  if at > now then arm(s, me); return nil end
  if ending <= now then return finish(s, s.f.w, me) end
  if s.f.p == 'l' then
    for field in pairs(s.f) do
      local node = string.match(field, '^n:(.*)$')
      if node and node ~= me then tell(node, 'unloaded', s.f.id, s.f.w, s.f.l) end
    end
  end
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
  local first = redis.call('ZRANGE', key('due', me), 0, 0, 'WITHSCORES')
  if first[2] then list[1] = math.max(math.ceil(first[2] - now), 0) end
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

-- A page said goodbye to this node: { 1 } if another one that holds it is told, else { 0 }.
function orders.goodbye(k, page, epoch)
  local s = load(k)
  local node = s and s.f['p:' .. page]
  if not node then return { 0 } end
  tell(node, 'goodbye', s.f.id, page, epoch)
  return { 1 }
end

-- A shared value: { version, text }, or {}; { 'ENDED' } for a life that is over, as with all that follow.
function orders.read(k, life, name)
  if redis.call('HGET', key('s', k), 'id') ~= life then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  return { tonumber(version), data }
end

-- { 1 or 0 whether it was written, due in, claim of the value that it replaced }
function orders.write(k, life, name, data, ttl, over, claims_replaced)
  local s = load(k)
  if not s or s.f.id ~= life then return { 'ENDED' } end
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
function orders.touch(k, life, name, ttl)
  if redis.call('HGET', key('s', k), 'id') ~= life then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return { 0, -1 } end
  keep_value(k, name, version, ttl, data)
  return { 1, ttl }
end

-- { claim }, or {} where there was none
function orders.delete(k, life, name)
  local s = load(k)
  if not s or s.f.id ~= life then return { 'ENDED' } end
  local version, _, data = value_of(k, name)
  if not version then return {} end
  redis.call('HDEL', key('v', k), name)
  return { value_claim(release(s, name, version, data, 'deleted')) }
end

local answers = { 'OK' }
for i = 4, #ARGV do
  local order = cjson.decode(ARGV[i])
  answers[#answers + 1] = orders[order[1]](unpack(order, 2))
end
return answers
`

/**
 * A sign of life, and the care for what nodes that gave none have left.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, after how long without a beat a node is dead, the most sessions to take over
 * at once, how its pages are taken to have left: their unload and their end, that long after; and how many messages the
 * node has got with the last answer: those go, so that none is lost with an answer.
 * Returns: `{ 'OK', until the next node may be dead, until something is due here, whether more is to take over, messages }`,
 * the messages that came for this node, as JSON; or `{ 'LAPSED' }`.
 */
const BEAT = `${PRELUDE}
local dead, limit, unload_in, end_in = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('HEXISTS', key('seq'), me) == 0 then return { 'LAPSED' } end
spare_nodes(dead)
redis.call('ZADD', key('nodes'), now, me)
local more = 0

-- What a node was to claim; of what it was working on, the rest is to be done now.
local function inherit(node)
  for _, member in ipairs(redis.call('ZRANGE', key('due', node), 0, limit - 1)) do
    local kind = string.sub(member, 1, 2)
    local score = kind == 'v:' and redis.call('ZSCORE', key('due', node), member) or now
    local s = kind ~= 'x:' and kind ~= 'r:' and kind ~= 'v:' and load(member)
    if s then
      if s.f.p == 'u' and s.f.o == node then s.f.cu = text(now) end
      if s.f.o == node then arm(s, me) end
    elseif kind == 'x:' or kind == 'r:' or kind == 'v:' then
      redis.call('ZADD', key('due', me), score, member)
    end
    redis.call('ZREM', key('due', node), member)
  end
  if redis.call('EXISTS', key('due', node)) == 1 then more = 1 end
end

for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), '-inf', now - dead)) do
  local seen = tonumber(redis.call('ZSCORE', key('nodes'), node))
  redis.call('HDEL', key('seq'), node)
  for _, k in ipairs(redis.call('SPOP', key('n', node), limit)) do
    local s = load(k)
    if s then
      part_with(s, node, seen, unload_in, end_in)
      if s.f.p == 'u' and s.f.cn == node then s.f.cu = text(now) end
      arm(s, s.f.o == node and me or s.f.o)
    end
  end
  inherit(node)
  if redis.call('EXISTS', key('n', node)) == 1 then more = 1 end
  if redis.call('EXISTS', key('n', node), key('due', node)) == 0 then
    redis.call('ZREM', key('nodes'), node)
    redis.call('DEL', key('in', node))
  end
end
inherit('')

redis.call('LTRIM', key('in', me), ARGV[7], -1)
local messages = redis.call('LRANGE', key('in', me), 0, -1)
local first = redis.call('ZRANGE', key('due', me), 0, 0, 'WITHSCORES')
local lapse = -1
for i, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, 1)) do
  if node ~= me and lapse < 0 then lapse = redis.call('ZSCORE', key('nodes'), node) + dead - now end
end
return { 'OK', lapse, first[2] and math.max(math.ceil(first[2] - now), 0) or -1, more, messages }
`

/**
 * A node comes, or comes back, and says what it holds.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, the stage, and what it takes:
 * `begin`: a random epoch, the secret that the node knows, and after how long without a beat a node is dead. Returns
 * `{ epoch, secret, whether the node was taken for dead }`, the first two being those given where there were none.
 * `hold`: unload and end delays, the epoch the node knows, then each part as a JSON array. Returns an answer for each:
 * `{ 'held', life, load, due in, whether that loads it again }`, where `life` may be another that stands for it, or
 * `{ 'gone', reason }`.
 * `end`: the delays, and a limit. Parts that were not named are dropped. Returns `{ how many are left }`.
 */
const ANNOUNCE = `${PRELUDE}
local stage = ARGV[3]
if stage == 'begin' then
  redis.call('SET', key('epoch'), ARGV[4], 'NX')
  redis.call('SET', key('secret'), ARGV[5], 'NX')
  spare_nodes(tonumber(ARGV[6]))
  redis.call('ZADD', key('nodes'), now, me)
  local lapsed = 1 - redis.call('HEXISTS', key('seq'), me)
  redis.call('HSET', key('seq'), me, '0')
  for _, k in ipairs(redis.call('SMEMBERS', key('n', me))) do redis.call('SADD', key('old', me), k) end
  return { redis.call('GET', key('epoch')), redis.call('GET', key('secret')), lapsed }
end

local unload_in, end_in = tonumber(ARGV[4]), tonumber(ARGV[5])
if stage == 'end' then
  for _, k in ipairs(redis.call('SPOP', key('old', me), ARGV[6])) do
    redis.call('SREM', key('n', me), k)
    local s = load(k)
    if s then
      part_with(s, me, now, unload_in, end_in)
      arm(s, s.f.o)
    end
  end
  return { redis.call('SCARD', key('old', me)) }
end

local function hold(k, life, born, nth, epoch, pages, navigations, requests, unloaded, had_page, ago, lapsed)
  local s = load(k)
  redis.call('SREM', key('old', me), k)
  if not s or s.f.id ~= life then
    if redis.call('EXISTS', key('x', life)) == 1 then
      return { 'gone', redis.call('HGET', key('x', life), 'why') }
    elseif redis.call('EXISTS', key('gone', life)) == 1 or (epoch == ARGV[6] and lapsed == 1) then
      -- It was here, and is not any more. Of a node that was never taken for dead, it was not ended: Redis has lost it.
      return { 'gone', 'disconnected' }
    elseif not s then
      s = create(k, life, born)
      s.f.l, s.f.p, s.f.ua, s.f.ea = text(nth), unloaded and 'n' or 'l', text(now + unload_in), later(end_in)
      if had_page then s.f.y = '1' end
    elseif epoch ~= '' and tonumber(s.f.b) > born then
      -- Redis has lost it, and a node that never knew has begun another one meanwhile.
      for field in pairs(s.f) do
        local node = string.match(field, '^n:(.*)$')
        if node and node ~= me then tell(node, 'alias', s.f.id, life) end
      end
      s.f.id, s.f.b = life, text(born)
    end
  end
  -- Another node, which knew of an earlier load only, has announced it first; or it was loaded while Redis was away.
  if nth > tonumber(s.f.l) then s.f.l, s.f.p, s.f.cu, s.f.cn = text(nth), unloaded and 'n' or 'l', nil, nil end
  for field, value in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' and value == me then s.f[field] = nil end
  end
  for _, page in ipairs(pages) do
    local node = s.f['p:' .. page]
    if node and node ~= me then tell(me, 'moved', s.f.id, page)
    else s.f['p:' .. page], s.f.h, s.f.y = me, '1', '1' end
  end
  s.f['n:' .. me] = navigations .. ' ' .. requests
  redis.call('SADD', key('n', me), k)
  -- They may have left while Redis was away.
  if ago >= 0 then
    s.f.ua = text(math.max(tonumber(s.f.ua), now - ago + unload_in))
    s.f.ea = end_in < 0 and '' or text(math.max(tonumber(s.f.ea) or 0, now - ago + end_in))
  end
  local returns = 0
  if s.f.p == 'u' and not unloaded and #pages > 0 then returns = 2 end
  if s.f.p == 'n' and not unloaded and #pages + navigations + requests > 0 then
    s.f.p, s.f.l, returns = 'l', text(s.f.l + 1), 1
  end
  return { 'held', s.f.id, s.f.l, arm(s, s.f.o == '' and me or s.f.o), returns }
end

local answers = {}
for i = 7, #ARGV do answers[#answers + 1] = hold(unpack(cjson.decode(ARGV[i]))) end
return answers
`

/**
 * A node goes, and hands back what it held and claimed.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, unload and end delays, and a limit.
 * Returns: `{ how many sessions are left }`.
 */
const LEAVE = `${PRELUDE}
local unload_in, end_in, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local heir = ''
for _, node in ipairs(redis.call('ZREVRANGE', key('nodes'), 0, 1)) do
  if node ~= me and heir == '' then heir = node end
end
for _, k in ipairs(redis.call('SPOP', key('n', me), limit)) do
  local s = load(k)
  if s then
    part_with(s, me, now, unload_in, end_in)
    if s.f.p == 'u' and s.f.cn == me then s.f.cu = text(now) end
    arm(s, s.f.o == me and heir or s.f.o)
  end
end
local left = redis.call('SCARD', key('n', me))
if left > 0 then return { left } end
for _, member in ipairs(redis.call('ZRANGE', key('due', me), 0, limit - 1)) do
  local s = load(member)
  if s then
    if s.f.p == 'u' and s.f.cn == me then s.f.cu = text(now) end
    arm(s, heir)
  elseif string.find(member, ':', 1, true) then
    local is_value = string.sub(member, 1, 2) == 'v:'
    redis.call('ZADD', key('due', heir), is_value and redis.call('ZSCORE', key('due', me), member) or now, member)
    tell(heir, 'due')
  end
  redis.call('ZREM', key('due', me), member)
end
left = redis.call('ZCARD', key('due', me))
if left == 0 then
  redis.call('ZREM', key('nodes'), me)
  redis.call('HDEL', key('seq'), me)
  redis.call('DEL', key('in', me), key('old', me))
end
return { left }
`

/** A script, and the name that Redis knows it by. */
export interface Script {
  readonly source: string
  readonly sha: string
}

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

export const scripts = {
  apply: script(APPLY),
  beat: script(BEAT),
  announce: script(ANNOUNCE),
  leave: script(LEAVE),
}
