import { CLAIMS } from './claims.js'
import { ENTRIES } from './entries.js'
import { PRELUDE } from './prelude.js'
import { SHARES } from './shares.js'
import { VALUES } from './values.js'

/**
 * Runs a batch of commands.
 *
 * KEYS: the shard's tag.
 * ARGV: the node, the prefix of the nodes' channels, the number of the batch, then each command as a JSON array.
 * Returns `{ 'OK', answer, … }`, with an answer for each command as described there; or `{ 'LAPSED' }` when nothing was done, because
 * the node was taken for dead or a batch was lost.
 */
export const APPLY = `${PRELUDE}${SHARES}
if redis.call('HGET', key('seq'), me) ~= text(ARGV[3] - 1) then return { 'LAPSED' } end
redis.call('HSET', key('seq'), me, ARGV[3])

-- The commands, by name.
local commands = {}
${VALUES}${CLAIMS}${ENTRIES}
local answers = { 'OK' }
for i = 4, #ARGV do
  local command = cjson.decode(ARGV[i])
  answers[#answers + 1] = commands[command[1]](unpack(command, 2))
end
return answers
`
