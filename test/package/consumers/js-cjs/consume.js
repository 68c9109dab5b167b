const assert = require('node:assert/strict')
const { once } = require('node:events')
const express = require('express')
const { gradioState } = require('gradio-state')
const { connect } = require('gradio-state/client')
const { fakeClock } = require('gradio-state/testing')

const gradio = gradioState({ clock: fakeClock() })
const visits = gradio.state('visits', { value: 0 })

const app = express()
app.use(gradio)
app.get('/', (req, res) => {
  req.gradioState.update(visits, count => count + 1)
  res.json(req.gradioState.get(visits))
})

async function main() {
  const server = app.listen(0)
  await once(server, 'listening')
  const origin = `http://localhost:${server.address().port}`

  const visit = async cookie => {
    const response = await fetch(origin, { headers: cookie ? { cookie } : {} })
    const [setCookie] = response.headers.getSetCookie()
    return { visits: await response.json(), cookie: setCookie?.split(';')[0] }
  }
  const first = await visit()
  assert.equal(first.visits, 1)
  assert.equal((await visit(first.cookie)).visits, 2)
  assert.equal((await visit()).visits, 1)

  const script = await fetch(`${origin}/gradio_api/client.js`)
  assert.equal(script.status, 200)
  assert.match(await script.text(), /\bas connect\b/)
  assert.equal(typeof connect, 'function')

  await gradio.close()
  server.close()
}

main()
