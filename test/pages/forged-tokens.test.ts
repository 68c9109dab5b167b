// A forged, an unknown and another user's token or page id: nothing of another user is seen or changed.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Express } from 'express'
import type { Visitor } from '../../lib/testing/index.ts'
import { forEachExpress, json, type SiteOptions, site } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'

function routes(app: Express) {
  app.post('/write/:secret', (req, res) => {
    req.gradioState.set('secret', req.params.secret)
    res.end()
  })
  app.get('/read', (req, res) => {
    res.json({ secret: req.gradioState.get('secret') ?? null, pages: req.gradioState.pages })
  })
  app.post('/end', async (req, res) => {
    await req.gradioState.end()
    res.end()
  })
}

const sessionKinds: Record<string, SiteOptions> = {
  'express-session': { routes },
  'the own cookie': { routes, session: false },
}

const secretOf = async (user: Visitor) =>
  (await json<{ secret: string | null; pages: number }>(user.fetch('/read'))).body

/** Cookies that an attacker could send. */
function foreignCookies(victim: Visitor, attacker: Visitor, ids: string[]): Map<string, string>[] {
  const [name, real] = [...victim.cookies][0] as [string, string]
  const own = attacker.cookies.get(name) as string
  const crossed = own.slice(0, own.length / 2) + real.slice(real.length / 2)
  const changed = real.slice(0, -2) + (real.endsWith('AA') ? 'BA' : 'AA')
  const forged = [real.slice(0, -1), changed, crossed, 'unknown', '', ...ids]
  return [attacker.cookies, ...forged.map(value => new Map([[name, value]]))]
}

forEachExpress((_name, express) => {
  for (const [kind, options] of Object.entries(sessionKinds)) {
    it(`nothing of another user is seen or changed, with ${kind}`, async t => {
      const served = await site(t, express, options)
      const { gradio, visitor } = served
      const log: string[] = []
      const [victim, attacker] = [visitor(), visitor()]
      await victim.fetch('/write/theirs', { method: 'POST' })
      const page = await victim.openPage({ id: 'page' })
      const beating = await heartbeat(victim, 'beating')
      const [session] = gradio.sessions()
      gradio.ended(({ session }) => log.push(session.id))
      gradio.unload(({ session }) => log.push(session.id))
      await attacker.fetch('/write/mine', { method: 'POST' })
      await heartbeat(attacker, 'mine')

      for (const cookies of foreignCookies(victim, attacker, [session?.id as string, 'page'])) {
        const user = visitor()
        for (const [name, value] of cookies) user.cookies.set(name, value)
        assert.notEqual((await secretOf(user)).secret, 'theirs')
        assert.equal(await goodbye(user, 'page', { n: '9' }), 404)
        assert.equal(await goodbye(user, 'beating', { n: '9' }), 404)
        const opened = await heartbeat(user, 'page', { n: '9' })
        assert.equal(opened.status, 200)
        assert.equal((await dial(t, served, 'beating', { ticket: opened.ticket, n: '9' })).status, 409)
        assert.equal((await dial(t, served, 'page', { ticket: opened.ticket, n: '9' })).status, 101)
        assert.equal(await goodbye(user, 'page', { n: '9' }), 204)
        await user.fetch('/write/changed', { method: 'POST' })
        await user.fetch('/end', { method: 'POST' })
      }

      assert.equal(log.includes(session?.id as string), false)
      assert.deepEqual(await secretOf(victim), { secret: 'theirs', pages: 2 })
      assert.equal(await page.beat(), 200)
      assert.equal((await dial(t, served, 'beating', { ticket: beating.ticket })).status, 101)
    })

    it(`the id of a session finds nothing, with ${kind}`, async t => {
      const { gradio, visitor } = await site(t, express, options)
      const user = visitor()
      await user.fetch('/write/theirs', { method: 'POST' })
      const id = gradio.sessions()[0]?.id as string
      const [name] = [...user.cookies.keys()]
      for (const cookie of [id, `m.${id}`, `s%3A${id}`]) {
        const stranger = visitor()
        stranger.cookies.set(name as string, cookie)
        assert.equal((await secretOf(stranger)).secret, null)
      }
    })
  }
})
