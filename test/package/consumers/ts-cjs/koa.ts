import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { gradioState, type RequestState } from 'gradio-state'
import { koa } from 'gradio-state/koa'
import Koa from 'koa'

const gradio = gradioState()
const visits = gradio.state<number>('visits', { value: 0 })

const app = new Koa()
app.use(koa(gradio))
app.use(async (ctx, next) => {
  const state: RequestState = ctx.gradioState
  state.update(visits, count => count + 1)
  await next()
  // @ts-expect-error: a state keeps to its type, and what ctx has is no `any`.
  const wrong = () => ctx.gradioState.set(visits, 'one')
  assert.equal(typeof wrong, 'function')
})
app.use(ctx => {
  ctx.body = ctx.gradioState.get(visits).toFixed()
})

async function main(): Promise<void> {
  const server = app.listen(0)
  await once(server, 'listening')
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`

  const requestCount = async (cookie?: string) => {
    const response = await fetch(origin, { headers: cookie ? { cookie } : {} })
    const [setCookie] = response.headers.getSetCookie()
    return { visits: await response.text(), cookie: setCookie?.split(';')[0] }
  }
  const first = await requestCount()
  assert.equal(first.visits, '1')
  assert.equal((await requestCount(first.cookie)).visits, '2')
  assert.equal((await requestCount()).visits, '1')

  await gradio.close()
  server.close()
}

void main()
