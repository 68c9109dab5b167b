import { it } from 'node:test'
import fc from 'fast-check'
import { clusterOfOne } from '../support/cluster/places.ts'
import { keepsInvariants } from './keeps-invariants.ts'

// Each instance would warn once about sessions without a page.
process.removeAllListeners('warning')

// A fixed seed; `npm run test:model` runs new steps each time.
for (const [where, place] of [
  ['alone', undefined],
  ['in a cluster of one', clusterOfOne],
] as const) {
  it(`sessions with scopes keep their invariants, ${where}`, async () => {
    await fc.assert(keepsInvariants(200, { steps: 0 }, place), { seed: 1, numRuns: 30 })
  })
}
