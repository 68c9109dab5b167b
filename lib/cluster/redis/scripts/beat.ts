import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'

/**
 * A heartbeat, and the care for what nodes that gave none have left.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, after how long without a beat a node is dead, the most sessions to take over
 * at once, how long after it is gone what a node kept is unloaded and ends; and how many messages the
 * node has got with the last answer: those go, so that none is lost with an answer.
 * Returns: `{ 'OK', until the next node may be dead, until something is due here, whether more is to take over, messages }`,
 * the messages that came for this node, as JSON; or `{ 'LAPSED' }`.
 */
export const BEAT = `${PRELUDE}${SHARES}${NODES}
local dead, limit, unload_in, end_in = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('HEXISTS', key('seq'), me) == 0 then return { 'LAPSED' } end
spare_nodes(dead)
redis.call('ZADD', key('nodes'), now, me)
local more = 0

for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), '-inf', now - dead)) do
  local seen = tonumber(redis.call('ZSCORE', key('nodes'), node))
  redis.call('HDEL', key('seq'), node)
  -- It may have lived for as long as a beat takes: late, never early.
  part_with_all(node, me, seen + 5000, unload_in, end_in, limit)
  pass_on(node, me, limit)
  if redis.call('EXISTS', key('n', node), key('due', node)) > 0 then more = 1
  else
    redis.call('ZREM', key('nodes'), node)
    redis.call('DEL', key('in', node))
  end
end
-- What nodes have left that had no heir.
pass_on('', me, limit)
if redis.call('EXISTS', key('due', '')) == 1 then more = 1 end

redis.call('LTRIM', key('in', me), ARGV[7], -1)
local messages = redis.call('LRANGE', key('in', me), 0, -1)
local lapse = -1
for i, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, 1)) do
  if node ~= me and lapse < 0 then lapse = redis.call('ZSCORE', key('nodes'), node) + dead - now end
end
return { 'OK', lapse, next_due(), more, messages }
`
