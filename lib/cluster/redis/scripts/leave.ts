import { NODES } from './nodes.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'

/**
 * A node closes, and hands its shares and work over to the other nodes.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the channels, unload and end delays, and a limit.
 * Returns `{ how many sessions are left }`.
 */
export const LEAVE = `${PRELUDE}${SHARES}${NODES}
local unload_in, end_in, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local successor = ''
for _, node in ipairs(redis.call('ZREVRANGE', key('nodes'), 0, 1)) do
  if node ~= me and successor == '' then successor = node end
end
remove_from_sessions(me, successor, now, unload_in, end_in, limit)
local left = redis.call('SCARD', key('n', me))
if left > 0 then return { left } end
transfer_work(me, successor, limit)
left = redis.call('ZCARD', key('due', me))
if left == 0 then forget_node(me) end
return { left }
`
