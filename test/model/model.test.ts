import { it } from 'node:test'
import fc from 'fast-check'
import { agreement } from './commands.ts'

// The long run is `npm run test:model`.
for (const isAsync of [false, true]) {
  it(`the library agrees with the model, with an engine that answers ${isAsync ? 'later' : 'at once'}`, async () => {
    await fc.assert(agreement(100, { steps: 0 }, { isAsync }), { numRuns: 25 })
  })
}
