const { once } = require('node:events')
const express = require('express')
const { gradioState } = require('gradio-state')
const { connect } = require('gradio-state/client')
const { fakeClock } = require('gradio-state/testing')

const gradio = gradioState({ clock: fakeClock() })
const visits = gradio.state('visits', { value: 0 })
let server
let origin

beforeAll(async () => {
  const app = express()
  app.use(gradio)
  app.get('/', (req, res) => {
    req.gradioState.update(visits, count => count + 1)
    res.json(req.gradioState.get(visits))
  })
  server = app.listen(0)
  await once(server, 'listening')
  origin = `http://localhost:${server.address().port}`
})

afterAll(async () => {
  await gradio.close()
  server.close()
})

async function visit(cookie) {
  const response = await fetch(origin, { headers: cookie ? { cookie } : {} })
  const [setCookie] = response.headers.getSetCookie()
  return { visits: await response.json(), cookie: setCookie?.split(';')[0] }
}

test('state is held per cookie', async () => {
  const first = await visit()
  expect(first.visits).toBe(1)
  expect((await visit(first.cookie)).visits).toBe(2)
  expect((await visit()).visits).toBe(1)
})

test('the client is served, and can be imported', async () => {
  const script = await fetch(`${origin}/gradio_api/client.js`)
  expect(script.status).toBe(200)
  expect(await script.text()).toMatch(/\bas connect\b/)
  expect(connect).toBeInstanceOf(Function)
})
