import assert from 'node:assert/strict'
import { it } from 'node:test'
import { forEachExpress, site } from '../support/http/express.ts'
import { heartbeat } from '../support/pages/handshake.ts'

const POST = { method: 'POST' }
type Headers = Record<string, string>

forEachExpress((_name, express) => {
  const refused: Record<string, Headers> = {
    'Sec-Fetch-Site says cross-site': { 'sec-fetch-site': 'cross-site' },
    'Sec-Fetch-Site says same-site, which another subdomain is': { 'sec-fetch-site': 'same-site' },
    'Origin is another': { origin: 'https://evil.example' },
    'Origin is null, as in a sandboxed frame': { origin: 'null' },
    'Origin is another port': { origin: 'http://127.0.0.1:1' },
    'Origin is no URL': { origin: 'nonsense' },
    'Sec-Fetch-Site says cross-site, whatever Origin says': {
      'sec-fetch-site': 'cross-site',
      origin: 'http://app.example',
      'x-forwarded-host': 'app.example',
    },
  }
  for (const [name, headers] of Object.entries(refused)) {
    it(`a request is rejected and changes nothing when ${name}`, async t => {
      const { gradio, visitor } = await site(t, express)
      const user = visitor()
      await heartbeat(user, 'page')
      const answers = [
        await user.fetch('/gradio_api/heartbeat/other?n=1', { ...POST, headers }),
        await visitor().fetch('/gradio_api/heartbeat/other?n=1', { ...POST, headers }),
      ]
      for (const answer of answers) {
        assert.equal(answer.status, 403)
        const { error } = (await answer.json()) as { error: { code: string } }
        assert.equal(error.code, 'CROSS_SITE')
        assert.equal(answer.headers.get('access-control-allow-origin'), null)
      }
      assert.deepEqual([gradio.stats().pages, gradio.stats().sessions], [1, 1])
    })

    it(`a goodbye is authenticated by the id of its page, even when ${name}`, async t => {
      const { gradio, visitor } = await site(t, express)
      const user = visitor()
      await heartbeat(user, 'page')
      const goodbye = (id: string) => user.fetch(`/gradio_api/pagehide/${id}?n=1`, { ...POST, headers })
      assert.equal((await goodbye('guess')).status, 404)
      assert.equal(gradio.stats().pages, 1)
      assert.equal((await goodbye('page')).status, 204)
      assert.equal(gradio.stats().pages, 0)
    })
  }

  it('the same origin is accepted, in each of the ways to detect it', async t => {
    const { origin, visitor } = await site(t, express)
    const allowed: Headers[] = [
      {},
      { 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      { origin },
      { origin: 'https://app.example', 'sec-fetch-site': 'same-origin' },
      { origin: 'https://app.example', 'gradio-state': 'page' },
    ]
    for (const headers of allowed) assert.equal((await heartbeat(visitor(), 'page', { headers })).status, 200)
  })

  it('pages of the listed origins are accepted, and can read the responses', async t => {
    const origin = 'http://localhost:5173'
    const { gradio, visitor } = await site(t, express, { options: { origins: [origin] } })
    const user = visitor()
    for (const headers of [{ origin }, { origin, 'sec-fetch-site': 'cross-site' }] as Headers[]) {
      for (const path of ['/gradio_api/heartbeat/page?n=1', '/gradio_api/pagehide/page?n=0']) {
        const answer = await user.fetch(path, { ...POST, headers })
        assert.ok(answer.ok, `${answer.status}`)
        assert.equal(answer.headers.get('access-control-allow-origin'), origin)
        assert.equal(answer.headers.get('access-control-allow-credentials'), 'true')
        assert.match(answer.headers.get('vary') ?? '', /\bOrigin\b/)
      }
    }
    const script = await user.fetch('/gradio_api/client.js', { headers: { origin } })
    assert.equal(script.headers.get('access-control-allow-origin'), origin)
    const other = await user.fetch('/gradio_api/client.js', { headers: { origin: 'https://evil.example' } })
    assert.equal(other.headers.get('access-control-allow-origin'), null)
    assert.match(other.headers.get('vary') ?? '', /\bOrigin\b/)
    assert.equal(gradio.stats().pages, 1)
  })

  it('a listed origin can read why it was rejected', async t => {
    const origin = 'http://localhost:5173'
    const { visitor } = await site(t, express, { options: { origins: [origin] } })
    const answer = await visitor().fetch('/gradio_api/pagehide/page?n=1', { ...POST, headers: { origin } })
    assert.equal(answer.status, 404)
    assert.equal(answer.headers.get('access-control-allow-origin'), origin)
  })

  it('a preflight is accepted for listed origins, rejected for others, and starts no session', async t => {
    const origin = 'http://localhost:5173'
    const { gradio, visitor } = await site(t, express, { options: { origins: [origin] } })
    for (const path of ['/gradio_api/heartbeat/page?n=1', '/gradio_api/pagehide/page?n=1']) {
      const ask = (origin: string) => {
        const headers = { origin, 'access-control-request-method': 'POST', 'sec-fetch-site': 'cross-site' }
        return visitor().fetch(path, { method: 'OPTIONS', headers })
      }
      const yes = await ask(origin)
      assert.equal(yes.status, 204)
      assert.equal(yes.headers.get('access-control-allow-origin'), origin)
      assert.equal(yes.headers.get('access-control-allow-credentials'), 'true')
      assert.equal(yes.headers.get('access-control-allow-methods'), 'POST')
      const no = await ask('https://evil.example')
      // So no page of another origin can send the header that identifies the same origin.
      assert.equal(no.headers.get('access-control-allow-headers'), null)
      assert.equal(no.headers.get('access-control-allow-origin'), null)
      assert.equal(no.headers.get('access-control-allow-methods'), null)
    }
    assert.equal(gradio.stats().sessions, 0)
  })

  for (const origin of [
    'tauri://localhost',
    'http://tauri.localhost',
    'capacitor://localhost',
    'ionic://localhost',
    'app://-',
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    'moz-extension://6b1c1a3e-7b0f-4d0a-9d52-0d4b8f6c2f11',
  ]) {
    it(`pages of ${origin} are accepted if it is listed, and only then`, async t => {
      const headers = { origin, 'sec-fetch-site': 'cross-site' }
      const { gradio, visitor } = await site(t, express, { options: { origins: [origin] } })
      const asked = { ...headers, 'access-control-request-headers': 'traceparent' }
      const preflight = await visitor().fetch('/gradio_api/heartbeat/page?n=1', {
        method: 'OPTIONS',
        headers: { ...asked, 'access-control-request-method': 'POST' },
      })
      assert.equal(preflight.headers.get('access-control-allow-origin'), origin)
      assert.equal(preflight.headers.get('access-control-allow-headers'), 'traceparent')
      for (const sent of [headers, { origin }]) {
        const answer = await visitor().fetch('/gradio_api/heartbeat/page?n=1', { ...POST, headers: sent })
        assert.equal(answer.status, 200)
        assert.equal(answer.headers.get('access-control-allow-origin'), origin)
      }
      assert.equal(gradio.stats().pages, 2)
      const { visitor: stranger } = await site(t, express, { options: { origins: ['app://other'] } })
      assert.equal((await heartbeat(stranger(), 'page', { headers })).status, 403)
      assert.equal((await heartbeat(stranger(), 'page', { headers: { origin } })).status, 403)
    })
  }
})
