import type { TestContext } from 'node:test'
import type { GradioStateOptions, StateOptions } from '../../../lib/index.ts'
import type { Place } from '../cluster/places.ts'
import { type ExpressModule, site } from './express.ts'

interface Counter {
  count: number
}

interface Deleted {
  value: Counter
  reason: string
}

/** Creates apps that count for each user, each app at a separate place. */
export function counterApps(express: ExpressModule, place: () => Place) {
  return (t: TestContext, state: StateOptions<Counter> = {}, options: GradioStateOptions = {}) =>
    counter(t, express, state, { ...place(), ...options })
}

/** Such an app, and the values that were deleted. */
async function counter(
  t: TestContext,
  express: ExpressModule,
  state: StateOptions<Counter>,
  options: GradioStateOptions,
) {
  const deleted: Deleted[] = []
  const made = await site(t, express, {
    options,
    routes(app, gradio) {
      const counting = gradio.state<Counter>('counter', {
        value: () => ({ count: 0 }),
        deleteCallback: (value, { reason }) => {
          deleted.push({ value, reason })
        },
        ...state,
      })
      app.get('/read', (req, res) => res.json(req.gradioState.get(counting)))
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
