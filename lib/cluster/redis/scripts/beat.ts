import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'

/**
 * A heartbeat, which also takes over the sessions and the work of dead nodes.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, the time without a heartbeat after which a node is dead, the most sessions to take
 * over at once, the delays until a dead node's sessions unload and end, and how many messages the node has received with the last
 * answer: these are deleted now, so that no message is lost if an answer is lost.
 * Returns `{ 'OK', delay until the next node may be dead, delay until something is due here, whether there is more to take over,
 * messages }`, with the messages for this node as JSON; or `{ 'LAPSED' }`.
 */
export const BEAT = `${PRELUDE}${SHARES}${NODES}
local dead, limit, unload_in, end_in = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('HEXISTS', key('seq'), me) == 0 then return { 'LAPSED' } end
renew_all_nodes(dead)
redis.call('ZADD', key('nodes'), now, me)
local more = 0

for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), '-inf', now - dead)) do
  local seen = tonumber(redis.call('ZSCORE', key('nodes'), node))
  redis.call('HDEL', key('seq'), node)
  -- It may have been alive until its next heartbeat was due: unloading late is safe, early isn't.
  remove_from_sessions(node, me, seen + 5000, unload_in, end_in, limit)
  transfer_work(node, me, limit)
  if redis.call('EXISTS', key('n', node), key('due', node)) > 0 then more = 1
  else forget_node(node) end
end
-- The work of nodes that had no successor.
transfer_work('', me, limit)
if redis.call('EXISTS', key('due', '')) == 1 then more = 1 end

redis.call('LTRIM', key('in', me), ARGV[7], -1)
local messages = redis.call('LRANGE', key('in', me), 0, -1)
local lapse = -1
for i, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, 1)) do
  if node ~= me and lapse < 0 then lapse = redis.call('ZSCORE', key('nodes'), node) + dead - now end
end
return { 'OK', lapse, next_due(), more, messages }
`
