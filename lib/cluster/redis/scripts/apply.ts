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
 * Returns `{ 'OK', answer, … }`, with an answer for each command as described there, or `{ 'FAILED', message }`; or `{ 'LAPSED' }` when
 * nothing was done, because the node was considered dead or a batch was lost.
 */
export const APPLY = `${PRELUDE}${SHARES}
if redis.call('HGET', key('seq'), me) ~= text(ARGV[3] - 1) then return { 'LAPSED' } end
redis.call('HSET', key('seq'), me, ARGV[3])

-- The commands, by name.
local commands = {}
${VALUES}${CLAIMS}${ENTRIES}
-- Whether an error is one of this script, not of Redis.
local function is_mistake(message)
  return string.find(message, 'attempt to', 1, true) or string.find(message, 'bad argument', 1, true)
end

local answers = { 'OK' }
for i = 4, #ARGV do
  local command = cjson.decode(ARGV[i])
  local is_done, answer = pcall(commands[command[1]], unpack(command, 2))
  if not is_done then
    local message = type(answer) == 'table' and answer.err or tostring(answer)
    -- If Redis refuses a command, such as all writes when it is out of memory, the whole batch has to be sent again.
    if not is_mistake(message) then error(message, 0) end
    answer = { 'FAILED', message }
  end
  answers[#answers + 1] = answer
end
return answers
`
