import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'

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
export const ANNOUNCE = `${PRELUDE}${NODES}
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
      tell_others(s, 'alias', s.f.id, life)
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
