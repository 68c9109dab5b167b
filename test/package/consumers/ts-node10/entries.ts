import assert from 'node:assert/strict'
import { gradioState, type RequestState } from 'gradio-state'
import { connect, type Page } from 'gradio-state/client'
import { koa } from 'gradio-state/koa'
import { metrics } from 'gradio-state/metrics'
import { redis } from 'gradio-state/redis'
import { fakeClock, type Visitor, visitor } from 'gradio-state/testing'
import Koa from 'koa'

const gradio = gradioState({ clock: fakeClock() })
const visits = gradio.state<number>('visits', { value: 0 })
new Koa().use(koa(gradio)).use(ctx => {
  const state: RequestState = ctx.gradioState
  // @ts-expect-error: a state keeps to its type.
  state.set(visits, 'one')
})

const open: (base: string) => Promise<Page> = connect
const browser: (origin: string) => Visitor = visitor
const stop: () => void = metrics(gradio, { attributes: { part: 'shop' } })
// @ts-expect-error: what an entry exports is no `any`.
const wrong: () => string = fakeClock
for (const each of [open, browser, stop, wrong]) assert.equal(typeof each, 'function')

stop()
assert.throws(() => redis({}), { code: 'OPTION_INVALID' })
void gradio.close()
