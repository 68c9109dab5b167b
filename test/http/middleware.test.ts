// `req.gradioState` is a property of the request.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { it } from 'node:test'
import type { ErrorRequestHandler, Express, Request } from 'express'
import type { ErrorCode } from '../../lib/index.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { type ExpressModule, forEachExpress, type Site, serve, site } from '../support/http/express.ts'

/** Sends a request to an app, and returns what its handler returns. */
async function look<T>(
  { visitor, app }: Pick<Site, 'visitor' | 'app'>,
  see: (req: Request) => T,
): Promise<T> {
  let seen: { value: T } | undefined
  app.get('/look', (req, res) => {
    seen = { value: see(req) }
    res.end()
  })
  await visitor().fetch('/look')
  assert.ok(seen, 'the handler has run')
  return seen.value
}

/** Sends a request to an app, and returns the code of the resulting error. */
async function codeOf(t: Parameters<typeof serve>[0], app: Express): Promise<ErrorCode | undefined> {
  let code: ErrorCode | undefined
  const report: ErrorRequestHandler = (error, _req, res, _next) => {
    code = error.code
    res.end()
  }
  app.use(report)
  await (await serve(t, app)).visitor().fetch('/')
  return code
}

const gradio = () => gradioState({ clock: fakeClock() })

forEachExpress((_name, express: ExpressModule) => {
  it('a request has one state, as its own property', async t => {
    const served = await site(t, express)
    const [first, again, isOwn] = await look(served, req => [
      req.gradioState,
      req.gradioState,
      Object.hasOwn(req, 'gradioState'),
    ])
    assert.ok(first)
    assert.equal(first, again)
    assert.equal(isOwn, true)
  })

  it('a state set in a sub-app is available in the parent app', async t => {
    const [above, below] = [express(), express()]
    below.use(gradio())
    above.use('/look', below)
    const served = { ...(await serve(t, above)), app: above }
    assert.equal(typeof (await look(served, req => req.gradioState.id)), 'string')
  })

  it('an object created from a request, and a proxy of it, have its state', async t => {
    const served = await site(t, express)
    const [made, proxied] = await look(served, req => [
      (Object.create(req) as Request).gradioState === req.gradioState,
      new Proxy(req, {}).gradioState === req.gradioState,
    ])
    assert.deepEqual([made, proxied], [true, true])
  })

  it('an app can replace the property', async t => {
    const served = await site(t, express)
    const own = {}
    const [found, foundBefore] = await look(served, req => {
      const { gradioState } = req
      Object.assign(req, { gradioState: own })
      return [req.gradioState, gradioState]
    })
    assert.equal(found, own)
    assert.notEqual(foundBefore, own)
  })

  it('an app can extend its requests with a stub of it', async t => {
    await look(await site(t, express), req => req.gradioState)
    const app = express()
    const stub = {}
    Object.assign(app.request, { gradioState: stub })
    assert.equal(await look({ ...(await serve(t, app)), app }, req => req.gradioState), stub)
  })

  it('a second instance is rejected, even one from the copy for the other module system', async t => {
    const twice = express()
    twice.use(gradio(), gradio())
    assert.equal(await codeOf(t, twice), 'TWO_INSTANCES')
    const copy = createRequire(import.meta.url)('gradio-state') as { gradioState: typeof gradioState }
    const [ours, theirs] = [gradio(), copy.gradioState({ clock: fakeClock() })]
    for (const pair of [[ours, theirs] as const, [theirs, ours] as const]) {
      const both = express()
      both.use(...pair)
      assert.equal(await codeOf(t, both), 'TWO_INSTANCES')
    }
  })
})
