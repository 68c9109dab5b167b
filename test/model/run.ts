// npm run test:model [-- steps seed where]: `alone` or in a `cluster` of one; by default they take turns. With `redis` it is
// a cluster of one on a Redis.

import fc from 'fast-check'
import { clusterOfOne, openPlaces, type Place, type Places } from '../support/cluster/places.ts'
import { agreement } from './commands.ts'

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

const [goal = 100_000, first = Date.now() % 2 ** 31] = process.argv.slice(2, 4).map(Number)
const where = process.argv[4]
const counter = { steps: 0 }
let seed = first
const places: Places | undefined = where === 'redis' ? await openPlaces() : undefined

function placeOf(seed: number): (() => Place) | undefined {
  if (places !== undefined) return () => places.place()
  return where === 'cluster' || (where === undefined && seed % 2 === 1) ? clusterOfOne : undefined
}

while (counter.steps < goal) {
  const place = placeOf(seed)
  const details = await fc.check(agreement(places ? 100 : 300, counter, place), {
    seed,
    numRuns: places ? 3 : 20,
    interruptAfterTimeLimit: 180_000,
  })
  if (details.failed) {
    console.error(fc.defaultReportMessage(details))
    console.error(details.errorInstance)
    process.exit(1)
  }
  console.log(`${counter.steps} steps, seed ${seed}${places ? ', on Redis' : place ? ', in a cluster' : ''}`)
  seed++
}
await places?.close()
