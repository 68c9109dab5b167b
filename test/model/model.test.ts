import { it } from 'node:test'
import fc from 'fast-check'
import { agreement } from './commands.ts'

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

// The same steps each time; `npm run test:model` looks for new ones.
for (const isAsync of [false, true]) {
  it(`the library agrees with the model, with an engine that answers ${isAsync ? 'later' : 'at once'}`, async () => {
    await fc.assert(agreement(isAsync, 300, { steps: 0 }), { seed: 1, numRuns: 60 })
  })
}
