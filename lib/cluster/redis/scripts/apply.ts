import { CLAIMS } from './claims.js'
import { ENTRIES } from './entries.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'
import { VALUES } from './values.js'

/**
 * Does what a node asks for, in one batch.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the nodes' channels, the number of the batch, then each order as a JSON array.
 * Returns: `{ 'OK', answer, … }`, an answer for each order as described there; `{ 'LAPSED' }` when nothing was done, since
 * the node has lapsed or a batch was lost.
 */
export const APPLY = `${PRELUDE}${SHARES}
if redis.call('HGET', key('seq'), me) ~= text(ARGV[3] - 1) then return { 'LAPSED' } end
redis.call('HSET', key('seq'), me, ARGV[3])

-- The functions that may be ordered, by their names.
local orders = {}
${VALUES}${CLAIMS}${ENTRIES}
local answers = { 'OK' }
for i = 4, #ARGV do
  local order = cjson.decode(ARGV[i])
  answers[#answers + 1] = orders[order[1]](unpack(order, 2))
end
return answers
`
