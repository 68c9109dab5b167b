// npm run test:model [-- steps seed engine]: the engine is `sync`, the one in memory, or `async`, the same from afar; by
// default they take turns. With `redis` it is that on a Redis, as a single node.

import fc from 'fast-check'
import { openPlaces, type Places } from '../support/engines.ts'
import { agreement } from './commands.ts'

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

const [goal = 100_000, first = Date.now() % 2 ** 31] = process.argv.slice(2, 4).map(Number)
const engine = process.argv[4]
const counter = { steps: 0 }
let seed = first
const places: Places | undefined = engine === 'redis' ? await openPlaces() : undefined
const place = places && (() => places.place())

while (counter.steps < goal) {
  const isAsync = engine === undefined ? seed % 2 === 1 : engine !== 'sync'
  const details = await fc.check(agreement(isAsync, place ? 100 : 300, counter, place), {
    seed,
    numRuns: place ? 3 : 20,
    interruptAfterTimeLimit: 180_000,
  })
  if (details.failed) {
    console.error(fc.defaultReportMessage(details))
    console.error(details.errorInstance)
    process.exit(1)
  }
  console.log(`${counter.steps} steps, seed ${seed}${place ? ', on Redis' : isAsync ? ', asynchronous' : ''}`)
  seed++
}
await places?.close()
