import assert from 'node:assert/strict'
import { test } from 'node:test'
import express from 'express'
import { rateLimit } from 'express-rate-limit'
import { gradioState } from '../../lib/index.ts'
import { visitor } from '../../lib/testing/index.ts'

// The recipe of docs/recipes/rate-limit.md, with a lower limit.

test('express-rate-limit counts only requests that begin a session', async t => {
  const starting = new WeakSet<object>()
  const gradio = gradioState({ info: req => void starting.add(req) })
  t.after(() => gradio.close())
  const app = express()
  app.use(
    rateLimit({
      limit: 3,
      skipSuccessfulRequests: true,
      requestWasSuccessful: req => !starting.has(req),
    }),
  )
  app.use(gradio)
  app.get('/', (req, res) => res.json(req.gradioState.id))
  app.get('/free', (_req, res) => res.json(null))
  const user = visitor(app)

  const { id } = await user.openPage({ socket: false })
  assert.ok(id)
  for (let request = 0; request < 10; request++) assert.equal((await user.fetch('/')).status, 200)
  for (let request = 0; request < 10; request++) assert.equal((await visitor(app).fetch('/free')).status, 200)

  const statuses: number[] = []
  for (let stranger = 0; stranger < 5; stranger++) statuses.push((await visitor(app).fetch('/')).status)
  assert.deepEqual(statuses, [200, 200, 429, 429, 429])
  assert.equal(gradio.stats().sessions, 3)
})
