import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { gradioState } from 'gradio-state'
import { connect } from 'gradio-state/client'
import { fakeClock } from 'gradio-state/testing'

const gradio = gradioState({ clock: fakeClock() })
const visits = gradio.state<number>('visits', { value: 0 })
const credits = gradio.sharedState<number>('credits', { value: 100 })

const app = express()
app.use(gradio)
app.get('/', (req, res) => {
  req.gradioState.update(visits, count => count + 1)
  res.json(req.gradioState.get(visits).toFixed())
})
app.get('/credits', async (req, res) => {
  await credits.update(req.gradioState, left => left - 1)
  res.json((await credits.get(req.gradioState)).toFixed())
})
app.get('/typed', async req => {
  // @ts-expect-error: a state keeps to its type.
  req.gradioState.set(visits, 'one')
  // @ts-expect-error: so does a shared one.
  await credits.set(req.gradioState, 'one')
  // @ts-expect-error: it is used through its own methods.
  req.gradioState.get(credits)
})
const server = app.listen(0)
await once(server, 'listening')
const origin = `http://localhost:${(server.address() as AddressInfo).port}`

const requestCount = async (cookie?: string) => {
  const response = await fetch(origin, { headers: cookie ? { cookie } : {} })
  const [setCookie] = response.headers.getSetCookie()
  return { visits: await response.json(), cookie: setCookie?.split(';')[0] }
}
const first = await requestCount()
assert.equal(first.visits, '1')
assert.equal((await requestCount(first.cookie)).visits, '2')
assert.equal((await requestCount()).visits, '1')
assert.equal(await (await fetch(`${origin}/credits`)).json(), '99')

const script = await fetch(`${origin}/gradio_api/client.js`)
assert.equal(script.status, 200)
assert.match(await script.text(), /\bas connect\b/)
assert.equal(typeof connect, 'function')

await gradio.close()
server.close()
