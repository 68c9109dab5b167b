import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { gradioState } from 'gradio-state'
import { koa } from 'gradio-state/koa'
import Koa from 'koa'

// An app that is only in part in ES modules has one copy.
const { gradioState: fromCommonJs } = createRequire(import.meta.url)('gradio-state')
assert.equal(fromCommonJs, gradioState)

const gradio = gradioState()
const visits = gradio.state('visits', { value: 0 })
const app = new Koa()
app.use(koa(gradio))
app.use(ctx => {
  ctx.gradioState.update(visits, count => count + 1)
  ctx.body = JSON.stringify(ctx.gradioState.get(visits))
})
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
assert.equal((await fetch(`${origin}/gradio_api/client.js`)).status, 200)

await gradio.close()
server.close()
