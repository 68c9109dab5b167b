import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type ServerResponse,
} from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import Koa from 'koa'
import { isNavigation, isPage } from '../../lib/http/navigation.ts'
import { forEachExpress, idle, serve, site, until } from '../support/http/express.ts'
import { dial, goodbye, heartbeat } from '../support/pages/handshake.ts'
import { deferred } from '../support/sessions/harness.ts'

type Headers = Record<string, string>

const UIR = { 'upgrade-insecure-requests': '1' }
const HTML = 'text/html; charset=utf-8'

/** The headers of Fetch Metadata. Over plain http, browsers send them only to localhost. */
const fetchMetadata = (mode: string, destination: string): Headers => ({
  'sec-fetch-mode': mode,
  'sec-fetch-dest': destination,
})

describe('a request whose response may be a page', () => {
  const yes: Record<string, Headers> = {
    'a link, a form, a redirect, a reload, a script, a new window': {
      ...UIR,
      ...fetchMetadata('navigate', 'document'),
    },
    'any of these over plain http': UIR,
    'a frame': { ...UIR, ...fetchMetadata('navigate', 'iframe') },
    'through a service worker in Chromium, network first': { ...UIR, ...fetchMetadata('navigate', 'empty') },
    'through a service worker in Chromium, with navigation preload': {
      ...UIR,
      ...fetchMetadata('navigate', 'document'),
    },
    'through a service worker in Chromium, cloned': { ...UIR, ...fetchMetadata('same-origin', 'empty') },
    'through a service worker in Firefox': { ...UIR, ...fetchMetadata('same-origin', 'empty') },
    'a link with the attribute download in Firefox': { ...UIR, ...fetchMetadata('navigate', 'document') },
  }
  const no: Record<string, Headers> = {
    'a service worker that fetches the bare URL': fetchMetadata('cors', 'empty'),
    'a link of the kind prefetch': { ...fetchMetadata('no-cors', 'empty'), 'sec-purpose': 'prefetch' },
    'a prefetch by speculation rules': {
      ...UIR,
      ...fetchMetadata('navigate', 'document'),
      'sec-purpose': 'prefetch',
    },
    'a prerender by speculation rules': {
      ...UIR,
      ...fetchMetadata('navigate', 'document'),
      'sec-purpose': 'prefetch;prerender',
    },
    'a prefetch over plain http': { ...UIR, 'sec-purpose': 'prefetch' },
    'fetch() that accepts HTML': {
      ...fetchMetadata('cors', 'empty'),
      accept: 'text/html, application/xhtml+xml',
    },
    'fetch() that accepts HTML, over plain http': { accept: 'text/html, application/xhtml+xml' },
    'an image, a script, a beacon': fetchMetadata('no-cors', 'image'),
    'a link with the attribute download in Chromium': fetchMetadata('navigate', 'empty'),
    '<object>': { ...UIR, ...fetchMetadata('navigate', 'object') },
    '<embed>': { ...UIR, ...fetchMetadata('navigate', 'embed') },
  }
  for (const method of ['GET', 'POST']) {
    for (const [kinds, expected] of [
      [yes, true],
      [no, false],
    ] as const) {
      for (const [kind, headers] of Object.entries(kinds)) {
        it(`${method}, ${kind}: ${expected ? 'yes' : 'no'}`, () => {
          assert.equal(isNavigation({ method, headers } as unknown as IncomingMessage), expected)
        })
      }
    }
  }
})

describe('a response that is a page', () => {
  const pages: Record<string, RequestListener> = {
    'by setHeader': (_req, res) => res.setHeader('Content-Type', HTML).end('page'),
    'by writeHead with an object': (_req, res) => res.writeHead(200, { 'content-type': HTML }).end('page'),
    'by writeHead with a reason': (_req, res) =>
      res.writeHead(200, 'Fine', { 'Content-Type': HTML }).end('page'),
    'by writeHead with an array': (_req, res) =>
      res.writeHead(200, ['X-One', '1', 'Content-Type', HTML]).end('page'),
    'by writeHead with pairs': (_req, res) => {
      // Node.js accepts these, but its types don't include them.
      Reflect.apply(res.writeHead, res, [
        200,
        [
          ['X-One', '1'],
          ['CONTENT-TYPE', HTML],
        ],
      ])
      res.end('page')
    },
    'by writeHead after setHeader': (_req, res) => {
      res.setHeader('Content-Type', 'text/plain')
      res.writeHead(200, { 'Content-Type': HTML }).end('page')
    },
    'by setHeaders': (_req, res) => res.setHeaders(new Map([['content-type', HTML]])).end('page'),
    'by res.type of Express': express().get('/', (_req, res) => void res.type('html').send('page')),
    'by ctx.type of Koa': koa(ctx => {
      ctx.type = 'html'
      ctx.body = 'page'
    }),
    'by ctx.res of Koa': koa(ctx => {
      ctx.respond = false
      ctx.res.writeHead(200, { 'Content-Type': HTML }).end('page')
    }),
    'in pieces': (_req, res) => {
      res.writeHead(200, { 'Content-Type': HTML }).write('pa')
      res.end('ge')
    },
    XHTML: (_req, res) => res.writeHead(200, { 'Content-Type': 'application/xhtml+xml' }).end('<html/>'),
    'in capitals': (_req, res) =>
      res.writeHead(200, { 'Content-Type': 'Text/HTML;charset=utf-8' }).end('page'),
    'of an error': (_req, res) => res.writeHead(404, { 'Content-Type': HTML }).end('page'),
    'with Content-Disposition: inline': (_req, res) =>
      res
        .writeHead(200, { 'Content-Type': HTML, 'Content-Disposition': 'inline; filename="attachment"' })
        .end('page'),
    'from the cache': (_req, res) => res.writeHead(304).end(),
    'with a policy that allows scripts': (_req, res) =>
      res
        .writeHead(200, {
          'Content-Type': HTML,
          'Content-Security-Policy': "default-src 'none'; script-src 'self'; object-src 'none'",
        })
        .end('page'),
  }
  const others: Record<string, RequestListener> = {
    'an attachment': (_req, res) =>
      res
        .writeHead(200, { 'Content-Type': HTML, 'Content-Disposition': 'attachment; filename="a.html"' })
        .end('page'),
    'an attachment by res.attachment of Express': express().get('/', (_req, res) => {
      res.attachment('a.html').send('page')
    }),
    'another type': (_req, res) => res.writeHead(200, { 'Content-Type': 'image/png' }).end('image'),
    'a type that begins like HTML': (_req, res) =>
      res.writeHead(200, { 'Content-Type': 'text/html-x' }).end('text'),
    'another header that names HTML': (_req, res) =>
      res.writeHead(200, { 'X-Content-Type': HTML, 'Content-Type': 'text/plain' }).end('text'),
    'no content': (_req, res) => res.writeHead(204, { 'Content-Type': HTML }).end(),
    'a redirect, whose body is HTML': express().get('/', (req, res) => {
      req.headers.accept = 'text/html'
      res.redirect('/next')
    }),
    'another type from the cache': (_req, res) => res.writeHead(304, { 'Content-Type': 'image/png' }).end(),
    'the error page of Express, in which no script can run': express().get('/', (_req, _res, next) => {
      next(Object.assign(new Error('not found'), { status: 404 }))
    }),
    'a page whose policy forbids scripts': (_req, res) =>
      res
        .writeHead(200, { 'Content-Type': HTML, 'Content-Security-Policy': "img-src *; Script-Src 'none' ;" })
        .end('page'),
    'a response that was cut off': (_req, res) => {
      res.writeHead(200, { 'Content-Type': HTML }).write('pa')
      res.destroy()
    },
  }
  for (const [kinds, expected] of [
    [pages, true],
    [others, false],
  ] as const) {
    for (const [kind, listener] of Object.entries(kinds)) {
      it(`${kind}: ${expected ? 'yes' : 'no'}`, async t => {
        assert.equal(await answers(t, listener), expected)
      })
    }
  }

  it('over HTTP/2, with any API: yes', async t => {
    const html = { 'content-type': HTML }
    assert.equal(
      await answersHttp2(t, (_req, res) => {
        res.setHeader('content-type', HTML)
        res.end('page')
      }),
      true,
    )
    assert.equal(await answersHttp2(t, (_req, res) => res.writeHead(200, html).end('page')), true)
    assert.equal(
      await answersHttp2(t, (_req, res) => {
        const { stream } = res as unknown as { stream: { respond(headers: object): void } }
        stream.respond({ ':status': 200, ...html })
        res.end('page')
      }),
      true,
    )
    assert.equal(
      await answersHttp2(t, (_req, res) => {
        res.writeHead(200, { ...html, 'content-disposition': 'attachment' }).end('page')
      }),
      false,
    )
  })
})

forEachExpress((_name, express) => {
  /** An app, and the time from the last response or goodbye to the unload of the session. */
  async function app(t: TestContext) {
    const unloads: number[] = []
    const made = await site(t, express, {
      routes(app, gradio) {
        gradio.unload(() => unloads.push(made.clock.now()))
        app.all('/page', (req, res) => {
          req.gradioState.set('here', true)
          res.writeHead(200, { 'Content-Type': HTML })
          res.end('page')
        })
        app.all('/file', (req, res) => {
          req.gradioState.set('here', true)
          res.writeHead(200, { 'Content-Type': HTML, 'Content-Disposition': 'attachment' })
          res.end('page')
        })
      },
    })
    const unloadsAfter = async () => {
      await idle(made.gradio)
      const from = made.clock.now()
      await made.clock.advance(40)
      return unloads.map(at => (at - from) / 1000)
    }
    return { ...made, unloadsAfter }
  }

  it('a form that is answered with a page gives it 30 s to connect', async t => {
    const { visitor, unloadsAfter } = await app(t)
    await visitor().fetch('/page', { method: 'POST', headers: UIR })
    assert.deepEqual(await unloadsAfter(), [30])
  })

  it('a download expects no page', async t => {
    const { visitor, unloadsAfter } = await app(t)
    await visitor().fetch('/file', { headers: UIR })
    assert.deepEqual(await unloadsAfter(), [2])
  })

  it('fetch() that accepts HTML expects no page', async t => {
    const { visitor, unloadsAfter } = await app(t)
    await visitor().fetch('/page', { headers: { accept: 'text/html' } })
    assert.deepEqual(await unloadsAfter(), [2])
  })

  it("a goodbye within the origin gives the next page 30 s to connect, another goodbye doesn't", async t => {
    for (const [within, delay] of [
      [true, 30],
      [false, 2],
    ] as const) {
      const { visitor, unloadsAfter } = await app(t)
      const user = visitor()
      const { id } = await user.openPage({ socket: false })
      assert.equal(await goodbye(user, id, { within }), 204)
      assert.deepEqual(await unloadsAfter(), [delay])
    }
  })

  it('a socket that closes before the goodbye arrives has the same effect', async t => {
    const { visitor, gradio, port, unloadsAfter } = await app(t)
    const user = visitor()
    const { socket } = await dial(t, { port }, 'page', await heartbeat(user, 'page'))
    socket.close(1000, 'within')
    await until(() => gradio.stats().pages === 0)
    assert.equal(await goodbye(user, 'page', { within: true }), 204)
    assert.deepEqual(await unloadsAfter(), [30])
  })

  it('a page that reconnects during a navigation is not the page of that navigation', async t => {
    for (const isAnswered of [true, false]) {
      const { visitor, unloadsAfter } = await app(t)
      const user = visitor()
      const page = await user.openPage({ id: 'page' })
      await page.crash()
      if (isAnswered) await user.fetch('/page', { headers: UIR })
      await user.openPage({ id: 'page', socket: false })
      if (!isAnswered) await user.fetch('/page', { headers: UIR })
      await goodbye(user, 'page')
      assert.deepEqual(await unloadsAfter(), [30])
    }
  })

  it('a page that returns from the back/forward cache is the one that the goodbye announced', async t => {
    const { visitor, unloadsAfter } = await app(t)
    const user = visitor()
    const first = await user.openPage({ socket: false })
    await goodbye(user, first.id, { within: true })
    const second = await user.openPage({ socket: false })
    await goodbye(user, second.id, { within: true })
    await user.openPage({ id: first.id, epoch: 2, socket: false })
    await goodbye(user, first.id, { n: '2' })
    assert.deepEqual(await unloadsAfter(), [2])
  })

  it('a reload counts once, whether its navigation or its hint arrives first', async t => {
    for (const order of ['navigation, hint, page', 'hint, navigation, page', 'hint, page']) {
      const { visitor, unloadsAfter } = await app(t)
      const user = visitor()
      const { id } = await user.openPage({ socket: false })
      const steps: Record<string, () => Promise<unknown>> = {
        navigation: () => user.fetch('/page', { headers: UIR }),
        hint: () => goodbye(user, id, { within: true }),
        page: () => user.openPage({ id: 'next', socket: false }),
      }
      for (const step of order.split(', ')) await steps[step]?.()
      await goodbye(user, 'next')
      assert.deepEqual(await unloadsAfter(), [2], order)
    }
  })
})

function koa(handle: (ctx: Koa.Context) => void): RequestListener {
  const app = new Koa()
  app.use(handle)
  const callback = app.callback()
  return (req, res) => void callback(req, res)
}

/** Whether the response of `listener` is a page. */
async function answers(t: TestContext, listener: RequestListener): Promise<boolean> {
  const over = deferred<boolean>()
  const { port } = await serve(
    t,
    createServer((req, res) => {
      res.on('close', () => over.resolve(isPage(res)))
      listener(req, res)
    }),
  )
  request({ port, host: '127.0.0.1' }, response => response.on('error', () => {}).resume())
    .on('error', () => {})
    .end()
  return over.promise
}

async function answersHttp2(t: TestContext, listener: RequestListener): Promise<boolean> {
  const over = deferred<boolean>()
  const server = createHttp2Server((req, res) => {
    const compatible = res as unknown as ServerResponse
    res.on('close', () => over.resolve(isPage(compatible)))
    listener(req as unknown as IncomingMessage, compatible)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => {
    client.destroy()
    server.close()
  })
  client.request().resume()
  return over.promise
}
