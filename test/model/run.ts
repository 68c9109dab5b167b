// npm run test:model [-- steps seed engine]: the engine is `sync`, the one in memory, or `async`, the same from afar; by
// default they take turns.

import fc from 'fast-check'
import { agreement } from './commands.ts'

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

const [goal = 100_000, first = Date.now() % 2 ** 31] = process.argv.slice(2, 4).map(Number)
const engine = process.argv[4]
const counter = { steps: 0 }
let seed = first

while (counter.steps < goal) {
  const isAsync = engine === undefined ? seed % 2 === 1 : engine === 'async'
  const details = await fc.check(agreement(isAsync, 300, counter), {
    seed,
    numRuns: 20,
    interruptAfterTimeLimit: 180_000,
  })
  if (details.failed) {
    console.error(fc.defaultReportMessage(details))
    console.error(details.errorInstance)
    process.exit(1)
  }
  console.log(`${counter.steps} steps, seed ${seed}${isAsync ? ', asynchronous' : ''}`)
  seed++
}
