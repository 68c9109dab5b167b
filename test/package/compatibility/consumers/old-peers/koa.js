const Koa = require('koa')
const imported = require('koa-session')
const { gradioState } = require('gradio-state')
const { koa } = require('gradio-state/koa')
const { countVisits } = require('./visits.js')

// Version 7 is an ES module that was compiled.
const session = imported.default ?? imported

const stored = new Map()
const store = {
  get: async id => stored.get(id),
  set: async (id, content) => void stored.set(id, content),
  destroy: async id => void stored.delete(id),
}

async function main() {
  // In the cookie, and in a store.
  for (const options of [{}, { store }]) {
    const gradio = gradioState()
    const visits = gradio.state('visits', { value: 0 })
    const app = new Koa()
    app.keys = ['a key']
    app.use(session(options, app))
    app.use(koa(gradio))
    app.use(async ctx => {
      ctx.gradioState.update(visits, count => count + 1)
      ctx.body = String(ctx.gradioState.get(visits))
    })
    await countVisits(app, gradio)
  }
}

main()
