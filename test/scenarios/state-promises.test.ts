// The promises of Gradio's guide on values and sessions, each of which Gradio's own code breaks somewhere.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import type { DeleteEvent, GradioState, GradioStateOptions, StateOptions } from '../../lib/index.ts'
import { type ExpressModule, forEachExpress, idle, json, settled, site, until } from '../support/express.ts'

interface Deleted {
  value: unknown
  reason: string
  session: string
}

const minutes = (count: number) => count * 60

/** An app that counts for each of its users. */
async function counter(
  t: TestContext,
  express: ExpressModule,
  state: StateOptions<{ count: number }> = {},
  options: GradioStateOptions = {},
) {
  const deleted: Deleted[] = []
  const made = await site(t, express, {
    options,
    routes(app, gradio) {
      const counting = gradio.state('counter', {
        value: () => ({ count: 0 }),
        deleteCallback: (value, { reason, session }: DeleteEvent) => {
          deleted.push({ value, reason, session: session.id })
        },
        ...state,
      })
      app.get('/read', (req, res) => res.json(req.gradioState.get(counting)))
      app.get('/peek', (req, res) => res.json(req.gradioState.has(counting)))
      app.post('/add', (req, res) => {
        req.gradioState.update(counting, ({ count }) => ({ count: count + 1 }))
        res.json(req.gradioState.get(counting))
      })
      app.post('/mutate', (req, res) => res.json({ count: ++req.gradioState.get(counting).count }))
      app.get('/nothing', (_req, res) => res.send('nothing'))
    },
  })
  return { ...made, deleted }
}

function hookLog(gradio: GradioState): string[] {
  const log: string[] = []
  gradio.load(() => log.push('load'))
  gradio.unload(({ reason }) => log.push(`unload: ${reason}`))
  gradio.ended(({ reason }) => log.push(`ended: ${reason}`))
  return log
}

forEachExpress((_name, express) => {
  // 1
  it('a reconnect within the grace period deletes nothing, ever (Gradio never reset is_closed)', async t => {
    const { gradio, clock, deleted, visitor } = await counter(t, express)
    const user = visitor()
    await user.fetch('/add', { method: 'POST' })
    const page = await user.openPage()
    await page.close()
    await idle(gradio)
    await clock.advance(minutes(59))
    const back = await user.openPage()
    // Wi-Fi beats keep it alive in real life; here its socket answers no ping while time leaps.
    for (let hour = 0; hour < 48; hour++) {
      await clock.advance('1m')
      await settledPings(back)
    }
    await clock.advance(15)
    assert.deepEqual(deleted, [])
    assert.deepEqual((await json(user.fetch('/read'))).body, { count: 1 })
  })
})

async function settledPings(_page: unknown): Promise<void> {
  await settled()
  await until(() => true)
}
