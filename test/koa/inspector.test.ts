import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Context } from 'koa'
import { koa } from '../../lib/http/koa.ts'
import type { InspectorOptions } from '../../lib/index.ts'
import { idle } from '../support/http/express.ts'
import { forEachKoa, get, koaSite, sessionOf, set } from '../support/http/koa.ts'
import { inCookie, inStore } from '../support/http/koa-sessions.ts'
import { endSession, INSPECTOR, snapshot } from '../support/inspector/inspected.ts'

const authorize: InspectorOptions['authorize'] = (_req, ctx) => sessionOf(ctx as Context).isOperator === true

forEachKoa(Koa => {
  for (const [name, koaSession] of Object.entries({ 'in the cookie': inCookie(), 'in a store': inStore() })) {
    it(`koa(gradio.inspector()) is for those whom authorize accepts, with sessions ${name}`, async t => {
      const site = await koaSite(t, Koa, {
        koaSession,
        routes: gradio => {
          const inspector = koa(gradio.inspector({ authorize }))
          return {
            'POST /operator': ctx => {
              sessionOf(ctx).isOperator = true
              ctx.body = {}
            },
            [`GET ${INSPECTOR}`]: inspector,
            [`HEAD ${INSPECTOR}`]: inspector,
            [`POST ${INSPECTOR}`]: inspector,
          }
        },
      })
      const user = site.visitor()
      const { id = '' } = await set(user, 'a value')
      for (const query of ['', '?data']) {
        const response = await user.fetch(INSPECTOR + query)
        assert.deepEqual([response.status, await response.text()], [404, 'Not Found'])
      }
      assert.equal((await endSession(user, id)).status, 404)

      const operator = site.visitor()
      await (await operator.fetch('/operator', { method: 'POST' })).text()
      const page = await operator.fetch(INSPECTOR)
      assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8')
      assert.match(page.headers.get('content-security-policy') ?? '', /^default-src 'none'/)
      assert.match(await page.text(), /^<!doctype html>/)
      const head = await operator.fetch(INSPECTOR, { method: 'HEAD' })
      assert.deepEqual([head.status, await head.text()], [200, ''])
      const { list, details } = await snapshot(operator, `session=${id}`)
      assert.deepEqual([list.matches, details?.row.id, details?.values.length], [1, id, 1])
      assert.equal((await endSession(operator, id, { 'sec-fetch-site': 'cross-site' })).status, 403)
      assert.deepEqual(await (await endSession(operator, id)).json(), { found: true })
      assert.notEqual((await get(user)).id, id)
    })
  }

  it("an open inspector keeps neither its operator's session open nor the framework session", async t => {
    const site = await koaSite(t, Koa, {
      koaSession: inCookie({ rolling: true }),
      routes: gradio => ({
        [`GET ${INSPECTOR}`]: koa(gradio.inspector({ authorize: (_req, ctx) => sessionOf(ctx as Context) })),
      }),
    })
    const operator = site.visitor()
    await set(operator, 'a value')
    const page = await operator.fetch(INSPECTOR)
    assert.equal(page.headers.getSetCookie().length, 2)
    await page.text()
    await idle(site.gradio)
    for (let seconds = 0; seconds < 40; seconds++) {
      const response = await operator.fetch(`${INSPECTOR}?data`)
      assert.deepEqual([response.status, response.headers.getSetCookie()], [200, []])
      await response.text()
      await site.clock.advance(1)
    }
    assert.deepEqual([site.gradio.stats().loaded, site.gradio.stats().sessions], [0, 1])
  })
})
