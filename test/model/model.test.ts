import { it } from 'node:test'
import fc from 'fast-check'
import { agreement } from './commands.ts'

// The same steps each time; `npm run test:model` looks for new ones.
for (const isAsync of [false, true]) {
  it(`the library agrees with the model, with an engine that answers ${isAsync ? 'later' : 'at once'}`, async () => {
    await fc.assert(agreement(100, { steps: 0 }, { isAsync }), { seed: 1, numRuns: 25 })
  })
}
