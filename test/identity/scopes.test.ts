// What logins, logouts and expired framework sessions do to scopes.

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import express from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import { LIFETIME, sessionApp } from '../support/http/session-app.ts'

/** A user who has a value and a file in a scope. */
async function scopedUser(t: TestContext, options?: GradioStateOptions) {
  const app = await sessionApp(t, express, {
    ...(options && { options }),
    routes(app, gradio) {
      const value = gradio.state<string>('scoped', {
        deleteCallback: (value, { session, reason }) => ended.push(`${value} in ${session.key}: ${reason}`),
      })
      app.post('/scope/:value', async (req, res) => {
        const scope = req.gradioState.scoped('a')
        scope.set(value, req.params.value as string)
        res.json({ id: scope.id, value: (await scope.saveFile('content')).url })
      })
      app.get('/scope', (req, res) => {
        const scope = req.gradioState.scoped('a')
        res.json({ id: scope.id, value: scope.get(value) })
      })
    },
  })
  const ended: string[] = []
  const user = app.user()
  const { id } = await user.set('session')
  const { id: scope, value: url } = await user.post('/scope/mine')
  const get = async () => (await (await user.fetch('/scope')).json()) as { id: string; value?: string }
  return { ...app, ended, user, id, scope, url: url!, get }
}

for (const [path, reason] of [
  ['/login', 'regenerated'],
  ['/logout', 'destroyed'],
] as const) {
  it(`${path} ends them`, async t => {
    const { user, ended, scope, url, get, pass } = await scopedUser(t)
    await user.post(path)
    await pass(0)
    assert.deepEqual(ended, [`mine in a: ${reason}`])
    assert.equal((await user.fetch(url)).status, 404)
    const next = await get()
    assert.notEqual(next.id, scope)
    assert.equal(next.value, undefined)
  })
}

it("a login with onRegenerate: 'keep' keeps them", async t => {
  const { user, ended, scope, url, get, pass } = await scopedUser(t, { onRegenerate: 'keep' })
  await user.post('/login')
  await pass(0)
  assert.deepEqual(await get(), { id: scope, value: 'mine' })
  assert.equal(await (await user.fetch(url)).text(), 'content')
  await user.post('/logout')
  await pass(0)
  assert.deepEqual(ended, ['mine in a: destroyed'])
})

it('an expired framework session leaves them their grace period', async t => {
  const { ended, gradio, scope, pass } = await scopedUser(t, { gracePeriod: 100 })
  const signal = gradio.session(scope!)?.signal
  await pass(LIFETIME - 1)
  await pass(101)
  assert.deepEqual([signal?.aborted, ended], [true, ['mine in a: disconnected']])
})

for (const [kind, options] of Object.entries({
  "the library's own cookie": { session: 'cookie' },
  'identify()': { identify: () => 'somebody' },
} satisfies Record<string, GradioStateOptions>)) {
  it(`${kind} also leads to them`, async t => {
    const { scope, url, user, get } = await scopedUser(t, options)
    assert.deepEqual(await get(), { id: scope, value: 'mine' })
    assert.equal(await (await user.fetch(url)).text(), 'content')
  })
}
