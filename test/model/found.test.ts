import { it } from 'node:test'
import type { Action } from './actions.ts'
import { ModelRun } from './model-run.ts'

// Failures that runs with random steps have found, shortened as far as possible.

// Each instance would warn once about sessions without a page.
process.removeAllListeners('warning')

const CYD = 2
const DAN = 3

const found: Record<string, Action[]> = {
  'a ticket is rejected once the page has sent a higher epoch': [
    { do: 'openPage', user: 0, page: 0, newer: 0 },
    {
      do: 'burst',
      actions: [
        { do: 'reopenPage', page: 0, newer: 1 },
        { do: 'upgrade', ticket: 0, late: false },
        { do: 'reopenPage', page: 0, newer: 0 },
      ],
    },
  ],
  'when two responses set a first cookie at the same time, the browser keeps the later one': [
    { do: 'request', user: 0, by: 'nobody' },
    { do: 'use', request: 0, use: 'set', name: 'history' },
    {
      do: 'burst',
      actions: [
        { do: 'openPage', user: CYD, page: 0, newer: 0 },
        { do: 'openPage', user: CYD, page: 0, newer: 0 },
        { do: 'openPage', user: DAN, page: 0, newer: 0 },
      ],
    },
    { do: 'goodbye', page: 0, older: 0 },
  ],
}

for (const [title, actions] of Object.entries(found)) {
  it(title, async () => {
    const settings = { unloadDelay: 2_000, gracePeriod: 60_017, maxSessions: 3, isAsync: false }
    const run = new ModelRun(settings)
    for (const action of actions) await run.step(action)
    await run.finish('leave')
  })
}
