import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'

/**
 * A node comes, or comes back, and tells what it keeps.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, the stage, and what it takes:
 * `begin`: a random epoch, the secret that the node knows, and after how long without a beat a node is dead. Returns
 * `{ epoch, secret, whether the node was taken for dead }`, the first two being those given where there were none.
 * `hold`: unload and end delays, then each share as a JSON array. Returns an answer for each:
 * `{ 'held', id, version, load, phase, had a page, reason, whether this loads it again, due in }`, where `id` may be another
 * one that stands for it, or `{ 'gone', reason }`.
 * `end`: the delays, and a limit. Shares that were not told are dropped. Returns `{ how many are left }`.
 */
export const RESYNC = `${PRELUDE}${SHARES}${NODES}
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
    local s = change(k)
    if s then
      part_with(s, me, now, unload_in, end_in)
      arm(s, s.f.o)
    end
  end
  return { redis.call('SCARD', key('old', me)) }
end

-- How long the others have to come back, too, before what nobody keeps is due.
local OTHERS = 5000

-- was_known: this Redis has confirmed the session before, and has not lost everything since.
local function hold(k, id, born, nth, is_confirmed, was_known, is_lapsed, unloaded, loaded, state, ends_in, reason, had_page, ever, navigations, expected, pages)
  local s = change(k)
  redis.call('SREM', key('old', me), k)
  if not s or s.f.id ~= id then
    if redis.call('EXISTS', key('x', id)) == 1 then
      return { 'gone', redis.call('HGET', key('x', id), 'why') }
    elseif redis.call('EXISTS', key('gone', id)) == 1 or (was_known and is_lapsed) then
      -- It was here, and is not any more. Of a node that was never taken for dead, it was not ended: Redis has lost it.
      return { 'gone', 'disconnected' }
    elseif not s then
      s = create(k, id, born)
      s.f.l, s.f.p, s.f.ua, s.f.ea = text(nth), unloaded and 'n' or 'l', text(now + OTHERS), text(now + OTHERS)
      s.f.h, s.f.y = had_page and '1' or nil, ever and '1' or nil
    elseif is_confirmed and tonumber(s.f.b) > born then
      -- Redis has lost it, and a node that never knew has begun another one meanwhile.
      tell_others(s, 'alias', id)
      s.f.id, s.f.b = id, text(born)
    end
  end
  -- Another node, which knew of an earlier load only, has told of it first; or it was loaded while Redis was away.
  if nth > tonumber(s.f.l) then s.f.l, s.f.p, s.f.cu, s.f.cn = text(nth), unloaded and 'n' or 'l', nil, nil end
  for field, value in pairs(s.f) do
    if string.sub(field, 1, 2) == 'p:' and value == me then s.f[field] = nil end
  end
  for _, page in ipairs(pages) do
    local node = s.f['p:' .. page]
    if node and node ~= me then tell(me, 'moved', s.f.id, s.f.ver, page)
    else s.f['p:' .. page], s.f.h, s.f.y = me, '1', '1' end
  end
  local keeps_loaded = loaded and not unloaded and tonumber(s.f.l) == nth
  keep(s, me, told(keeps_loaded, state, ends_in, navigations, expected))
  redis.call('SADD', key('n', me), k)
  local returns = 0
  -- Others took this node for dead, and have unloaded what it keeps loaded.
  if keeps_loaded and s.f.p == 'n' then load_again(s, me); returns = 1 end
  if reason == 'expired' and s.f.w ~= 'expired' and (not kept(s) or keeps_loaded) then
    s.f.w = reason
    tell_others(s, 'expired', ends_in)
  end
  local at = arm(s, s.f.o == '' and me or s.f.o)
  return { 'held', s.f.id, s.f.ver, s.f.l, s.f.p, s.f.h and 1 or 0, s.f.w, returns, at }
end

local answers = {}
for i = 6, #ARGV do answers[#answers + 1] = hold(unpack(cjson.decode(ARGV[i]))) end
return answers
`
