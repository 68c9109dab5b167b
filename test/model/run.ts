// npm run test:model [-- steps seed where what]. `where` is `alone`, `cluster` (a cluster of one node in memory) or `redis` (a cluster
// of one node on Redis); by default, `alone` and `cluster` alternate. `what` is `model` or `scopes`; by default, both.

import fc from 'fast-check'
import { clusterOfOne, openPlaces, type Place, type Places } from '../support/cluster/places.ts'
import { agreesWithModel } from './agrees-with-model.ts'
import { keepsInvariants } from './keeps-invariants.ts'

// Each instance would warn once about sessions without a page.
process.removeAllListeners('warning')

const [goal = 100_000, first = Date.now() % 2 ** 31] = process.argv.slice(2, 4).map(Number)
const [where, what] = process.argv.slice(4)
type Counted = Parameters<typeof agreesWithModel>
const CHECKS = {
  model: (seed: number, ...counted: Counted) => check(seed, agreesWithModel(...counted)),
  scopes: (seed: number, ...counted: Counted) => check(seed, keepsInvariants(...counted)),
}
const places: Places | undefined = where === 'redis' ? await openPlaces() : undefined

function placeOf(seed: number): (() => Place) | undefined {
  if (places !== undefined) return () => places.place()
  return where === 'cluster' || (where === undefined && seed % 2 === 1) ? clusterOfOne : undefined
}

async function check<T>(seed: number, property: fc.IAsyncProperty<T>): Promise<void> {
  const parameters = { seed, numRuns: places ? 3 : 20, interruptAfterTimeLimit: 180_000 }
  const details = await fc.check(property, parameters)
  if (!details.failed) return
  console.error(fc.defaultReportMessage(details))
  console.error(details.errorInstance)
  process.exit(1)
}

for (const [name, run] of Object.entries(CHECKS)) {
  if (what !== undefined && what !== name) continue
  const counter = { steps: 0 }
  for (let seed = first; counter.steps < goal; seed++) {
    const place = placeOf(seed)
    await run(seed, places ? 100 : 300, counter, place)
    const setting = places ? ', on Redis' : place ? ', in a cluster' : ''
    console.log(`${name}: ${counter.steps} steps, seed ${seed}${setting}`)
  }
}
await places?.close()
