const Koa = require('koa')
const session = require('koa-session')
const { gradioState } = require('gradio-state')
const { koa } = require('gradio-state/koa')
const { countVisits } = require('./visits.js')

const gradio = gradioState()
const visits = gradio.state('visits', { value: 0 })

const app = new Koa()
app.keys = ['a key']
app.use(session(app))
app.use(koa(gradio))
app.use(ctx => {
  ctx.gradioState.update(visits, count => count + 1)
  ctx.body = String(ctx.gradioState.get(visits))
})

countVisits(app, gradio)
