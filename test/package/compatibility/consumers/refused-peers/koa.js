// koa-session 4 is made for Koa 1, but can be used in Koa 2, where it would lose the state.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const Koa = require('koa')
const session = require('koa-session')
const { gradioState } = require('gradio-state')
const { koa } = require('gradio-state/koa')

async function main() {
  const gradio = gradioState()
  const app = new Koa()
  app.keys = ['a key']
  app.use(session({}, app))
  app.use(koa(gradio))
  app.use(ctx => {
    ctx.body = 'not reached'
  })
  const server = app.listen(0)
  await once(server, 'listening')
  const errors = []
  app.on('error', error => errors.push(error))
  const { status } = await fetch(`http://localhost:${server.address().port}`)
  assert.equal(status, 500)
  assert.equal(errors[0].code, 'VERSION_UNSUPPORTED')
  assert.match(errors[0].message, /npm install koa-session@latest/)
  server.close()
  await gradio.close()
}

main()
