import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type GradioStateError, gradioState, type InspectorOptions } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { forEachExpress, idle, until } from '../support/http/express.ts'
import { endSession, INSPECTOR, inspected, snapshot } from '../support/inspector/inspected.ts'
import { RecordingStore } from '../support/stores/recording-store.ts'

describe('inspector() requires authorize', () => {
  const gradio = gradioState({ clock: fakeClock() })
  const wrong: Record<string, unknown> = {
    'no options': undefined,
    'no function': {},
    'a boolean': { authorize: true },
    'a misspelt option': { authorise: () => true },
    'a describe that is no function': { authorize: () => true, describe: 'all' },
  }
  for (const [name, options] of Object.entries(wrong)) {
    it(`and throws for ${name}`, () => {
      assert.throws(
        () => gradio.inspector(options as InspectorOptions),
        (error: GradioStateError) => error.code === 'OPTION_INVALID',
      )
    })
  }

  it('with a message that shows how', () => {
    assert.throws(
      () => gradio.inspector({} as InspectorOptions),
      /authorize.*req\.session\?\.user\?\.admin === true, got undefined/,
    )
  })
})

forEachExpress((_name, express) => {
  describe('who may see the inspector', () => {
    it('is decided by authorize; everyone else gets 404', async t => {
      const { operator, user } = await inspected(t, express)
      const admitted = await operator()
      assert.equal((await admitted.fetch(INSPECTOR)).status, 200)
      assert.equal((await admitted.fetch(`${INSPECTOR}/`)).status, 200)
      const { user: other, id } = await user()
      for (const query of ['', '?data', `?data&session=${id}`]) {
        const response = await other.fetch(INSPECTOR + query)
        assert.deepEqual([response.status, await response.text()], [404, 'Not Found'], query)
      }
    })

    it("can't be changed by another user's requests", async t => {
      const { gradio, user } = await inspected(t, express)
      const { user: other, id } = await user()
      for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const response = await other.fetch(`${INSPECTOR}?end=${id}`, { method })
        assert.equal(response.status, 404, method)
      }
      assert.ok(gradio.session(id), 'the session continues')
    })

    const answers: Record<string, [InspectorOptions['authorize'], number]> = {
      'a promise of true': [async () => true, 200],
      'a promise of false': [async () => false, 404],
      nothing: [() => undefined, 404],
      'an exception': [
        () => {
          throw new Error('no user')
        },
        404,
      ],
      'a rejection': [async () => Promise.reject(new Error('no database')), 404],
    }
    for (const [name, [authorize, status]] of Object.entries(answers)) {
      it(`with ${name}: ${status}`, async t => {
        const { visitor } = await inspected(t, express, { inspector: { authorize } })
        for (const query of ['', '?data']) {
          const response = await visitor().fetch(INSPECTOR + query)
          assert.equal(response.status, status)
        }
      })
    }

    it('is asked at each request, so that a logout takes effect at once', async t => {
      let isAllowed = true
      const { visitor } = await inspected(t, express, { inspector: { authorize: () => isAllowed } })
      const admitted = visitor()
      assert.equal((await admitted.fetch(`${INSPECTOR}?data`)).status, 200)
      isAllowed = false
      assert.equal((await admitted.fetch(`${INSPECTOR}?data`)).status, 404)
    })
  })

  describe('the responses', () => {
    it('are not cached, not framed, and run no script but their own', async t => {
      const { operator } = await inspected(t, express)
      const admitted = await operator()
      const [first, second] = [await admitted.fetch(INSPECTOR), await admitted.fetch(INSPECTOR)]
      const policy = first.headers.get('content-security-policy') ?? ''
      assert.match(policy, /^default-src 'none'; script-src 'nonce-[^']{22,}'; style-src 'nonce-[^']{22,}';/)
      assert.match(policy, /frame-ancestors 'none'/)
      assert.doesNotMatch(policy, /unsafe|\*/)
      assert.notEqual(policy, second.headers.get('content-security-policy'), 'each has a nonce of its own')
      const page = await first.text()
      assert.doesNotMatch(page, /\{\{|\son\w+=|\sstyle=|src=/)
      const [, nonce] = /script-src 'nonce-([^']+)'/.exec(policy) ?? []
      assert.equal(page.split(`nonce="${nonce}"`).length, 3)
      for (const query of ['', '?data', '?end=x']) {
        for (const sender of [admitted, (await inspected(t, express)).visitor()]) {
          const { headers } = await sender.fetch(INSPECTOR + query)
          assert.equal(headers.get('cache-control'), 'no-store')
          assert.equal(headers.get('x-content-type-options'), 'nosniff')
          assert.match(
            headers.get('content-security-policy') ?? '',
            /default-src 'none'.*frame-ancestors 'none'/,
          )
        }
      }
    })

    it('have no body for HEAD, and other methods are refused', async t => {
      const { operator } = await inspected(t, express)
      const admitted = await operator()
      for (const query of ['', '?data']) {
        const head = await admitted.fetch(INSPECTOR + query, { method: 'HEAD' })
        assert.deepEqual([head.status, await head.text()], [200, ''])
        assert.ok(Number(head.headers.get('content-length')) > 100)
      }
      for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const response = await admitted.fetch(INSPECTOR, { method })
        assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD, POST'], method)
      }
    })

    it('contain no token, and no value without describe', async t => {
      const { operator, user } = await inspected(t, express, {
        routes(app, gradio) {
          const secret = gradio.state('secret', { value: 'the content' })
          app.get('/secret', (req, res) => res.send(req.gradioState.get(secret)))
        },
      })
      const { user: other, id } = await user()
      await (await other.fetch('/secret')).text()
      const page = await other.openPage()
      const admitted = await operator()
      const texts = [
        await (await admitted.fetch(INSPECTOR)).text(),
        JSON.stringify(await snapshot(admitted, `session=${id}`)),
      ]
      assert.match(texts[1] ?? '', /"name":"secret"/)
      for (const text of texts) {
        for (const secret of [
          ...other.cookies.values(),
          ...admitted.cookies.values(),
          page.id,
          'the content',
        ])
          for (const form of [secret, decodeURIComponent(secret)])
            assert.ok(!text.includes(form) && !text.includes(form.slice(2, 34)), `without ${secret}`)
      }
      await page.close()
    })
  })

  describe('ending a session', () => {
    it("runs its callbacks, and it can't be found afterwards", async t => {
      const { operator, user, gradio } = await inspected(t, express)
      const reasons: string[] = []
      gradio.ended(({ reason }) => void reasons.push(reason))
      const { id } = await user()
      const admitted = await operator()
      assert.deepEqual(await (await endSession(admitted, id)).json(), { found: true })
      await until(() => reasons.length === 1)
      assert.deepEqual(reasons, ['ended'])
      assert.deepEqual(await (await endSession(admitted, id)).json(), { found: false })
      assert.equal((await snapshot(admitted, `session=${id}`)).details, null)
    })

    it('shows it while its callbacks run', async t => {
      const { operator, user, gradio } = await inspected(t, express)
      let finish = () => {}
      const finished = new Promise<void>(resolve => {
        finish = resolve
      })
      gradio.ended(() => finished)
      const { id } = await user()
      const admitted = await operator()
      await (await endSession(admitted, id)).json()
      const { counts, details, list } = await snapshot(admitted, `session=${id}&status=ending`)
      assert.deepEqual(
        [counts.ending, list.matches, details?.row.status, details?.reason],
        [1, 1, 'ending', 'ended'],
      )
      finish()
      await until(() => gradio.stats().ending === 0)
    })

    const refused: Record<string, Record<string, string>> = {
      'of another site': { 'sec-fetch-site': 'cross-site' },
      'of a sibling domain': { 'sec-fetch-site': 'same-site' },
      'of another origin, without Fetch Metadata': { origin: 'https://attacker.example' },
      'of a listed origin': { origin: 'https://listed.example' },
    }
    for (const [name, headers] of Object.entries(refused)) {
      it(`refuses requests ${name}`, async t => {
        const { operator, user, gradio } = await inspected(t, express, {
          options: { origins: ['https://listed.example'] },
        })
        const { id } = await user()
        assert.equal((await endSession(await operator(), id, headers)).status, 403)
        assert.ok(gradio.session(id), 'the session continues')
      })
    }

    it('accepts the page', async t => {
      const { operator, user, origin } = await inspected(t, express)
      const { id } = await user()
      const response = await endSession(await operator(), id, { origin, 'sec-fetch-site': 'same-origin' })
      assert.equal(response.status, 200)
    })
  })

  describe('an open inspector', () => {
    it("doesn't start a session", async t => {
      const { operator, gradio } = await inspected(t, express)
      const admitted = await operator()
      await (await admitted.fetch(INSPECTOR)).text()
      await snapshot(admitted)
      await snapshot(admitted)
      assert.equal(gradio.stats().sessions, 0)
    })

    it("doesn't keep its operator's session open", async t => {
      const unloads: string[] = []
      const { gradio, clock, user } = await inspected(t, express, { inspector: { authorize: () => true } })
      gradio.unload(({ session }) => void unloads.push(session.id))
      const { user: admitted, id } = await user()
      await (await admitted.fetch(INSPECTOR)).text()
      await idle(gradio)
      // The first request after the start of the process is an exception, so the time begins after it.
      for (let seconds = 0; seconds < 40; seconds++) {
        await snapshot(admitted)
        await clock.advance(1)
      }
      assert.deepEqual(unloads, [id])
      await snapshot(admitted)
      assert.equal(gradio.stats().loaded, 0, 'the session is not loaded again')
    })

    it("doesn't renew its operator's framework session", async t => {
      const store = new RecordingStore()
      const { operator } = await inspected(t, express, {
        session: { store, rolling: true, cookie: { maxAge: 60_000 } },
      })
      const admitted = await operator()
      const page = await admitted.fetch(INSPECTOR)
      assert.equal(page.headers.getSetCookie().length, 1)
      await page.text()
      store.writes()
      const response = await admitted.fetch(`${INSPECTOR}?data`)
      assert.deepEqual([response.status, response.headers.getSetCookie()], [200, []])
      await response.text()
      assert.deepEqual(store.writes(), [])
    })
  })
})
