import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'

/**
 * Registers a node, at its start or after an outage, and receives its shares.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, the stage, and its arguments:
 * `begin`: a random epoch, the node's secret, the time without a heartbeat after which a node is dead, the format of the records, and
 * the node's options. Returns `{ 'OK', epoch, secret, whether the node was considered dead, options of another node, … }`: the stored
 * epoch and secret, or those of the node if there were none. Or `{ 'FORMAT', format }` when nothing was done, because a live node has
 * another format.
 * `shares`: unload and end delays, then each share as a JSON array. Returns an answer for each:
 * `{ 'kept', id, version, load, phase, had a page, reason, whether this has loaded it again, due in }`, where `id` may be another
 * session that replaces it, or `{ 'ended', reason }`.
 * `end`: the delays, and a limit. Drops the shares that were not sent. Returns `{ how many are left }`.
 */
export const RESYNC = `${PRELUDE}${SHARES}${NODES}
local stage = ARGV[3]
if stage == 'begin' then
  repair_node_records()
  local others = {}
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), now - tonumber(ARGV[6]), '+inf')) do
    local format, options = string.match(redis.call('HGET', key('about'), node) or '', '^(%d+) (.*)$')
    if node ~= me and format then
      if format ~= ARGV[7] then return { 'FORMAT', format } end
      others[#others + 1] = options
    end
  end
  redis.call('SET', key('epoch'), ARGV[4], 'NX')
  redis.call('SET', key('secret'), ARGV[5], 'NX')
  renew_all_nodes(tonumber(ARGV[6]))
  redis.call('ZADD', key('nodes'), now, me)
  local lapsed = 1 - redis.call('HEXISTS', key('seq'), me)
  redis.call('HSET', key('seq'), me, '0')
  redis.call('HSET', key('about'), me, ARGV[7] .. ' ' .. ARGV[8])
  for _, k in ipairs(redis.call('SMEMBERS', key('n', me))) do redis.call('SADD', key('old', me), k) end
  return { 'OK', redis.call('GET', key('epoch')), redis.call('GET', key('secret')), lapsed, unpack(others) }
end

local unload_in, end_in = tonumber(ARGV[4]), tonumber(ARGV[5])
if stage == 'end' then
  for _, k in ipairs(redis.call('SPOP', key('old', me), ARGV[6])) do
    redis.call('SREM', key('n', me), k)
    local s = update_session(k)
    if s then
      remove_node(s, me, now, unload_in, end_in)
      schedule(s, s.f.o)
    end
  end
  return { redis.call('SCARD', key('old', me)) }
end

-- How long other nodes also have to resync before sessions that no node keeps become due.
local RETURN_TIME = 5000

-- was_known: this Redis has confirmed the session, and has not lost its data since.
local function restore_share(k, id, created_at, load_count, is_confirmed, was_known, is_lapsed, unloaded, loaded, state, ends_in, reason, had_page, ever, navigations, expected, pages, scope)
  local s = update_session(k)
  redis.call('SREM', key('old', me), k)
  if not s or s.f.id ~= id then
    local ended = reason_of_end(id)
    if ended then return { 'ended', ended }
    elseif redis.call('EXISTS', key('gone', id)) == 1 or (was_known and is_lapsed) then
      -- It existed and is gone, so it has ended. If this node was never considered dead, it can't have ended: Redis has lost it.
      return { 'ended', 'disconnected' }
    elseif not s then
      s = new_session(k, id, created_at, scope)
      s.f.l, s.f.p, s.f.ua, s.f.ea = text(load_count), unloaded and 'n' or 'l', text(now + RETURN_TIME), text(now + RETURN_TIME)
      s.f.h, s.f.y = had_page and '1' or nil, ever and '1' or nil
    elseif is_confirmed and tonumber(s.f.b) > created_at then
      -- Redis has lost it, and another node has begun a new session of the token in the meantime.
      notify_others(s, 'alias', id)
      s.f.id, s.f.b = id, text(created_at)
    end
  end
  -- Another node with an earlier load was faster; or the session was loaded during the outage.
  if load_count > tonumber(s.f.l) then s.f.l, s.f.p, s.f.cu, s.f.cn = text(load_count), unloaded and 'n' or 'l', nil, nil end
  for field, value in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' and value == me then s.f[field] = nil end
  end
  for _, page in ipairs(pages) do
    local node = s.f['p:' .. page]
    if node and node ~= me then notify(me, 'moved', s.f.id, s.f.ver, page)
    else s.f['p:' .. page], s.f.h, s.f.y = me, '1', '1' end
  end
  local keeps_loaded = loaded and not unloaded and tonumber(s.f.l) == load_count
  save_share(s, me, share_from(keeps_loaded, state, ends_in, navigations, expected))
  redis.call('SADD', key('n', me), k)
  local returns = 0
  -- Other nodes took this node for dead, and have unloaded a session that it keeps loaded.
  if keeps_loaded and s.f.p == 'n' then load_again(s, me); returns = 1 end
  if reason == 'expired' and s.f.w ~= 'expired' and (not any_keeps(s) or keeps_loaded) then
    s.f.w = reason
    notify_others(s, 'expired', ends_in)
  end
  local at = schedule(s, s.f.o == '' and me or s.f.o)
  return { 'kept', s.f.id, s.f.ver, s.f.l, s.f.p, s.f.h and 1 or 0, s.f.w, returns, at }
end

local answers = {}
for i = 6, #ARGV do answers[#answers + 1] = restore_share(unpack(cjson.decode(ARGV[i]))) end
return answers
`
