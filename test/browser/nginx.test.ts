// Real browsers and a real nginx, with the configurations of docs/deployment.md.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import express from 'express'
import type { GradioStateOptions } from '../../lib/index.ts'
import { until, useBrowser } from '../support/browser/browser.ts'
import { scratch } from '../support/files/disk.ts'
import { site } from '../support/http/express.ts'
import { selfSigned } from '../support/http/self-signed.ts'
import { nginx, nginxBlocks } from '../support/servers/nginx.ts'

const [whole = '', tls = '', stripping = ''] = nginxBlocks('deployment.md')
const [map = ''] = /^map .*?^}/ms.exec(whole) ?? []

const html = `<!doctype html>
  <link rel="icon" href="data:,">
  <script type="module">
    import { connect } from './gradio_api/client.js'
    window.page = await connect(new URL('gradio_api', location.href))
  </script>`

const browser = useBrowser()

interface Setup {
  options?: GradioStateOptions
  /** How a proxy differs from the documentation. */
  configure(upstream: number, port: number): string
  scheme?: 'http' | 'https'
  /** The URL of the app for browsers. */
  prefix?: string
}

async function behindNginx(t: TestContext, { options, configure, scheme = 'http', prefix = '' }: Setup) {
  const unloaded: string[] = []
  const served = await site(t, express, {
    options: { cacheDir: scratch(t), uploadRoute: true, ...options },
    session: false,
    routes(app, gradio) {
      app.set('trust proxy', 'loopback')
      gradio.unload(({ session }) => unloaded.push(session.id))
      app.get('/', (_req, res) => res.send(html))
    },
  })
  const port = await nginx(t, port => configure(served.port, port))
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  t.after(() => context.close())
  const tab = await context.newPage()
  const sockets: string[] = []
  tab.on('websocket', socket => sockets.push(socket.url()))
  // A host name, since browsers treat localhost as a secure origin.
  await tab.goto(`${scheme}://app.test:${port}${prefix}/`)
  const page = async () => {
    await tab.waitForFunction(() => (window as { page?: { connected: boolean } }).page?.connected)
  }
  return { ...served, context, tab, port, sockets, unloaded, page }
}

/** What every deployment must do: connect, upload, survive a reload, and detect a closed tab. */
async function works({
  gradio,
  clock,
  context,
  tab,
  sockets,
  unloaded,
  page,
}: Awaited<ReturnType<typeof behindNginx>>) {
  await page()
  await until(() => sockets.length > 0, 'a socket')
  const [session] = gradio.sessions()
  const file = await tab.evaluate(async () => {
    const { page } = window as unknown as { page: { upload(file: Blob): Promise<{ url: string }[]> } }
    const [uploaded] = await page.upload(new File(['text'], 'a.txt'))
    const answer = await fetch(uploaded?.url ?? '')
    return { status: answer.status, text: await answer.text() }
  })
  assert.deepEqual(file, { status: 200, text: 'text' })
  await tab.reload()
  await page()
  await until(() => gradio.stats().pages === 1, 'the page has replaced the one before')
  await clock.advance(4)
  assert.deepEqual(unloaded, [])
  assert.deepEqual(
    gradio.sessions().map(({ id }) => id),
    [session?.id],
  )
  const cookies = await context.cookies()
  await tab.close()
  await until(() => gradio.stats().pages === 0, 'the page has left')
  await clock.advance(4)
  assert.deepEqual(unloaded, [session?.id])
  return cookies
}

const at = (block: string, upstream: number, port: number) =>
  block
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${upstream}`)

for (const host of ['$http_host', '$host', '$host:80', '$proxy_host']) {
  it(`on a non-standard port of plain http, with Host ${host}`, async t => {
    const configure = (upstream: number, port: number) =>
      at(whole.replace('$http_host', host), upstream, port)
    await works(await behindNginx(t, { configure }))
  })
}

it('on https, with Host $host, the cookie is Secure', async t => {
  const folder = scratch(t)
  const [key, cert] = ['key', 'cert'].map(name => join(folder, `${name}.pem`)) as [string, string]
  writeFileSync(key, selfSigned.key)
  writeFileSync(cert, selfSigned.cert)
  const configure = (upstream: number, port: number) =>
    at(
      whole
        .replace('$http_host', '$host')
        .replace('listen 8080;', tls)
        .replace('listen 8443', 'listen 8080')
        .replace('/etc/ssl/app.pem', cert)
        .replace('/etc/ssl/app.key', key),
      upstream,
      port,
    )
  const [cookie] = await works(await behindNginx(t, { configure, scheme: 'https' }))
  assert.equal(cookie?.secure, true)
})

it('below a prefix that nginx strips', async t => {
  const options = { publicPath: '/app' }
  const configure = (upstream: number, port: number) =>
    at(`${map}\nserver {\nlisten 8080;\n${stripping}\n}`, upstream, port)
  const [cookie] = await works(await behindNginx(t, { options, configure, prefix: '/app' }))
  assert.equal(cookie?.path, '/app')
})

it('without WebSockets, with heartbeats', async t => {
  const configure = (upstream: number, port: number) =>
    at(whole.replace(/^.*(Upgrade|Connection) .*$/gm, ''), upstream, port)
  await works(await behindNginx(t, { configure }))
})
