import { it } from 'node:test'
import fc from 'fast-check'
import { clusterOfOne } from '../support/cluster/places.ts'
import { agreement } from './commands.ts'

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

// The same steps each time; `npm run test:model` looks for new ones.
for (const [where, place] of [
  ['alone', undefined],
  ['in a cluster of one', clusterOfOne],
] as const) {
  it(`the library agrees with the model, ${where}`, async () => {
    await fc.assert(agreement(300, { steps: 0 }, place), { seed: 1, numRuns: 60 })
  })
}
