// npm run test:model [-- steps seed where]. `where` is `alone`, `cluster` (a cluster of one node in memory) or `redis` (a cluster
// of one node on Redis). By default, `alone` and `cluster` alternate.

import fc from 'fast-check'
import { clusterOfOne, openPlaces, type Place, type Places } from '../support/cluster/places.ts'
import { agreesWithModel } from './commands.ts'

// Each instance would warn once about sessions without a page.
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
  const details = await fc.check(agreesWithModel(places ? 100 : 300, counter, place), {
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
