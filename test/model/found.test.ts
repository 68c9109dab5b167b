import { it } from 'node:test'
import { type Action, Run } from './commands.ts'

// What runs with random steps have found, as short as it could be made.

// The one about sessions without a page comes once for each instance.
process.removeAllListeners('warning')

const CYD = 2
const DAN = 3

const found: Record<string, Action[]> = {
  'a ticket admits no socket once the page is known to be in the document’s next entry': [
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
  'of two first answers that come in one moment, the browser keeps the cookie of the last': [
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

for (const [what, actions] of Object.entries(found)) {
  it(what, async () => {
    const settings = { unloadDelay: 2_000, gracePeriod: 60_017, maxSessions: 3, isAsync: false }
    const run = new Run(settings)
    for (const action of actions) await run.step(action)
    await run.finish('leave')
  })
}
