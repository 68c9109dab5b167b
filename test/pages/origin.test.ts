import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { it } from 'node:test'
import { isSameOrigin } from '../../lib/pages/origin.ts'
import { forEachExpress, site } from '../support/http/express.ts'
import { forEachKoa, koaSite } from '../support/http/koa.ts'
import { heartbeat } from '../support/pages/handshake.ts'

type Row = [what: string, isSame: boolean, headers: IncomingHttpHeaders]

/** The header that the client sends to its own origin. */
const client = { 'gradio-state': 'page' }

const rows: Row[] = [
  ['curl, which sends none of the headers', true, { host: 'app.example' }],

  ['Fetch Metadata: the same origin', true, { 'sec-fetch-site': 'same-origin' }],
  ['Fetch Metadata: the user', true, { 'sec-fetch-site': 'none' }],
  ['Fetch Metadata: another site', false, { 'sec-fetch-site': 'cross-site' }],
  ['Fetch Metadata: another subdomain or port', false, { 'sec-fetch-site': 'same-site' }],
  [
    'Fetch Metadata of a form post with Referrer-Policy: no-referrer',
    true,
    { 'sec-fetch-site': 'same-origin', origin: 'null', host: 'app.example' },
  ],
  [
    'Fetch Metadata: another site, and a host that fits',
    false,
    { 'sec-fetch-site': 'cross-site', origin: 'http://app.example', host: 'app.example' },
  ],
  [
    'Fetch Metadata: another site that a CORS middleware of the app lets send any header',
    false,
    { ...client, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example', host: 'app.example' },
  ],
  [
    'Fetch Metadata: the same origin, behind a proxy with another Host',
    true,
    { 'sec-fetch-site': 'same-origin', origin: 'https://app.example', host: 'backend' },
  ],

  [
    'our client behind a proxy with another Host',
    true,
    { ...client, origin: 'http://app.lan', host: 'node:3000' },
  ],
  ['our client on an odd port', true, { ...client, origin: 'http://app.lan:8081', host: 'app.lan:80' }],
  ['our client in an old browser without Origin', true, { ...client, host: 'app.lan' }],

  ['the same host and port', true, { origin: 'http://app.lan:8080', host: 'app.lan:8080' }],
  ['the same host, no ports', true, { origin: 'http://app.lan', host: 'app.lan' }],
  ['another port', false, { origin: 'http://app.lan:8081', host: 'app.lan:8080' }],
  ['the default port, asked on another', false, { origin: 'http://app.lan', host: 'app.lan:8080' }],
  ['nginx: Host $host, on an odd port', true, { origin: 'http://app.lan:8080', host: 'app.lan' }],
  ['nginx: Host $host, https', true, { origin: 'https://app.lan', host: 'app.lan' }],
  ['nginx: Host $host:$server_port, http', true, { origin: 'http://app.lan', host: 'app.lan:80' }],
  ['nginx: Host $host:$server_port, https', true, { origin: 'https://app.lan', host: 'app.lan:443' }],
  [
    'https ends at an outer proxy, the inner adds :80',
    true,
    { origin: 'https://app.lan', host: 'app.lan:80' },
  ],
  ['another host, port dropped', false, { origin: 'http://evil.lan:8080', host: 'app.lan' }],
  ['upper case in Host', true, { origin: 'http://app.lan:8080', host: 'App.LAN:8080' }],
  ['upper case in Origin', true, { origin: 'HTTP://App.Lan', host: 'app.lan' }],
  ['a colon without a port', true, { origin: 'http://app.lan', host: 'app.lan:' }],
  ['an IPv4 address', true, { origin: 'http://192.0.2.1:3000', host: '192.0.2.1:3000' }],
  ['IPv6', true, { origin: 'http://[::1]:3000', host: '[::1]:3000' }],
  ['IPv6, no port', true, { origin: 'http://[2001:db8::1]:3000', host: '[2001:db8::1]' }],
  ['IPv6 in another spelling', true, { origin: 'http://[2001:db8::1]', host: '[2001:DB8:0:0:0:0:0:1]:80' }],
  ['another IPv6 address', false, { origin: 'http://[::2]:3000', host: '[::1]:3000' }],
  ['IPv6 without brackets is no host', false, { origin: 'http://[::1]', host: '::1' }],
  ['an international name', true, { origin: 'http://xn--bcher-kva.example', host: 'bücher.example' }],
  ['a part of the name', false, { origin: 'http://evilapp.example', host: 'app.example' }],
  ['a subdomain', false, { origin: 'http://x.app.example', host: 'app.example' }],
  ['user information in Host', false, { origin: 'http://app.example', host: 'evil@app.example' }],
  ['a path in Host', false, { origin: 'http://app.example', host: 'app.example/x' }],
  ['no Host', false, { origin: 'http://app.example' }],
  ['an empty Host', false, { origin: 'http://app.example', host: '' }],

  ['HTTP/2: :authority', true, { origin: 'https://app.example', ':authority': 'app.example' }],
  [
    'HTTP/2: :authority with a port',
    true,
    { origin: 'https://app.example:8443', ':authority': 'app.example:8443' },
  ],
  ['HTTP/2: another :authority', false, { origin: 'https://evil.example', ':authority': 'app.example' }],

  ['a sandboxed frame', false, { origin: 'null', host: 'null' }],
  ['no URL', false, { origin: 'nonsense', host: 'nonsense' }],
  ['an empty Origin', false, { origin: '', host: '' }],
  ['Tauri', false, { origin: 'tauri://localhost', host: 'localhost' }],
  ['Capacitor', false, { origin: 'capacitor://localhost', host: 'localhost' }],
  ['Ionic', false, { origin: 'ionic://localhost', host: 'localhost' }],
  ['Electron', false, { origin: 'app://-', host: '-' }],
  ['an extension', false, { origin: 'chrome-extension://abcdefghijklmnop', host: 'abcdefghijklmnop' }],
]

/** The same, behind a proxy that the framework trusts or doesn't. */
const forwarded: Row[] = [
  ['its host', true, { host: 'node:3000', 'x-forwarded-host': 'app.example' }],
  ['its host and port', true, { host: 'node:3000', 'x-forwarded-host': 'app.example:443' }],
  ['upper case', true, { host: 'node', 'x-forwarded-host': 'APP.example' }],
  ['a list, the outer first', true, { host: 'node', 'x-forwarded-host': 'app.example, inner.example' }],
  ['a list, the inner first', true, { host: 'node', 'x-forwarded-host': 'inner.example,app.example:443' }],
  ['the port of an inner proxy', false, { host: 'node', 'x-forwarded-host': 'app.example:8080' }],
  ['another host', false, { host: 'node', 'x-forwarded-host': 'other.example' }],
  ['an empty list', false, { host: 'node', 'x-forwarded-host': ', ,' }],
]

const sentWith = (headers: IncomingHttpHeaders) => ({ headers }) as IncomingMessage

for (const [what, isSame, headers] of rows) {
  it(`${isSame ? 'the same origin' : 'another origin'}: ${what}`, () => {
    for (const trustsProxy of [true, false])
      assert.equal(isSameOrigin(sentWith(headers), trustsProxy), isSame)
  })
}

for (const [what, isSame, headers] of forwarded) {
  it(`${isSame ? 'the same origin' : 'another origin'} by X-Forwarded-Host: ${what}`, () => {
    const req = sentWith({ origin: 'https://app.example', ...headers })
    assert.equal(isSameOrigin(req, true), isSame)
    assert.equal(isSameOrigin(req, false), false)
  })
}

const proxied = { origin: 'https://app.example', 'x-forwarded-host': 'app.example' }

forEachExpress((_name, express) => {
  for (const [setting, status] of [
    [undefined, 403],
    [false, 403],
    ['192.0.2.1', 403],
    [true, 200],
    [1, 200],
    ['loopback', 200],
  ] as const) {
    it(`Express with trust proxy ${setting} responds ${status} to the host of its proxy`, async t => {
      const { app, visitor } = await site(t, express)
      if (setting !== undefined) app.set('trust proxy', setting)
      assert.equal((await heartbeat(visitor(), 'page', { headers: proxied })).status, status)
      const other = { ...proxied, origin: 'https://other.example' }
      assert.equal((await heartbeat(visitor(), 'page', { headers: other })).status, 403)
    })
  }
})

forEachKoa(Koa => {
  it('Koa trusts the host of its proxy only with app.proxy', async t => {
    const { app, visitor } = await koaSite(t, Koa)
    assert.equal((await heartbeat(visitor(), 'page', { headers: proxied })).status, 403)
    app.proxy = true
    assert.equal((await heartbeat(visitor(), 'page', { headers: proxied })).status, 200)
    const other = { ...proxied, origin: 'https://other.example' }
    assert.equal((await heartbeat(visitor(), 'page', { headers: other })).status, 403)
  })

  it('over HTTP/2, Origin is compared with :authority', async t => {
    const { app } = await koaSite(t, Koa)
    const answer = app.callback()
    const server = createServer((req, res) => void answer(req, res)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const session = connect(`http://${authority}`)
    t.after(() => {
      session.destroy()
      server.close()
    })
    for (const [origin, status] of [
      [`https://${authority}`, 200],
      ['https://evil.example', 403],
    ] as const) {
      const path = '/gradio_api/heartbeat/page?n=1'
      const request = session.request({ ':method': 'POST', ':path': path, origin }).end()
      const [headers] = (await once(request, 'response')) as [{ ':status': number }]
      request.resume()
      assert.equal(headers[':status'], status)
    }
  })
})
