// Uploads from Chromium, with the served client, to the library itself.

import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { Page as Tab } from 'playwright-core'
import type { Page, UploadOptions, UploadProgress } from '../../lib/client/index.ts'
import type { GradioStateOptions } from '../../lib/index.ts'
import { useBrowser } from '../support/browser/browser.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { idle, type Site, site, until } from '../support/http/express.ts'

interface Outcome {
  body?: unknown
  error?: { name: string; message: string; status?: number; code?: string; body?: unknown }
  progress: UploadProgress[]
}

declare global {
  interface Window {
    server: Promise<Page>
    aborting: AbortController
    outcome: Promise<Outcome>
    /** Uploads, and returns the results as plain objects. */
    upload(files: Parameters<Page['upload']>[0], options?: UploadOptions): Promise<Outcome>
    /** A file with this many bytes. */
    file(name: string, size: number): File
  }
}

const MB = 1024 * 1024

const browser = useBrowser({ args: ['--autoplay-policy=no-user-gesture-required'] })

/** Runs in the page. Text, because a compiler's helpers aren't available there. */
const helpers = (base: string) => `
  window.server = import('${base}/client.js').then(({ connect }) => connect('${base}'))
  window.aborting = new AbortController()
  window.file = (name, size) => new File([new Uint8Array(size)], name)
  window.upload = async (files, options) => {
    const page = await server
    const progress = []
    const onProgress = step => progress.push(step)
    try {
      return { body: await page.upload(files, { onProgress, ...options }), progress }
    } catch (error) {
      const { name, message, status, code, body } = error
      return { error: { name, message, status, code, body }, progress }
    }
  }
`

async function uploadSite(t: TestContext, options: GradioStateOptions = {}) {
  const cacheDir = scratch(t)
  const cookies: (string | undefined)[] = []
  /** While it is set, no page can connect to the server. */
  const heartbeats = { areCut: false }
  const made = await site(t, express, {
    session: false,
    options: { cacheDir, uploadRoute: true, ...options },
    before: [
      (req, res, next) => {
        if (heartbeats.areCut && req.path.includes('/heartbeat/')) res.destroy()
        else next()
      },
      (req, _res, next) => {
        if (req.method === 'POST' && !req.path.includes('heartbeat')) cookies.push(req.headers.cookie)
        next()
      },
    ],
    routes(app, gradio) {
      app.get('/', (_req, res) => res.type('html').send('<!doctype html><input type="file" multiple>'))
      app.post('/mine', gradio.upload.array('pictures'), (req, res) => {
        res.json((req.files as Express.Multer.File[]).map(({ originalname, size }) => [originalname, size]))
      })
      app.post('/refuse', (_req, res) => res.status(418).json({ error: 'No tea', more: 1 }))
      app.post('/page', (_req, res) => res.status(500).type('html').send('<h1>Oh</h1>'))
      app.post('/default', gradio.upload.single('files'), (_req, res) => res.sendStatus(201))
      app.post('/nothing', (_req, res) => res.status(204).end())
    },
  })
  return { ...made, cookies, heartbeats, onDisk: () => filesBelow(cacheDir).map(path => basename(path)) }
}

/** A document that loads the client. */
async function openTab(t: TestContext, { origin }: Site, base = '/gradio_api'): Promise<Tab> {
  const context = await browser.newContext()
  t.after(() => context.close())
  const tab = await context.newPage()
  await tab.goto(origin)
  await tab.evaluate(helpers(base))
  return tab
}

const connected = (tab: Tab) => tab.evaluate(async () => void (await window.server))

/** Limits the browser's upload rate, so that an upload takes time. */
async function throttle(tab: Tab, bytesPerSecond: number): Promise<void> {
  const devtools = await tab.context().newCDPSession(tab)
  await devtools.send('Network.enable')
  await devtools.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytesPerSecond,
  })
}

describe('upload', { timeout: 600_000 }, () => {
  it('stores files through the library’s own route, in the session of the page', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    const { body } = await tab.evaluate(async () =>
      window.upload([window.file('a b.txt', 3), window.file('日本.png', 5)]),
    )
    const files = body as { name: string; size: number; url: string }[]
    assert.deepEqual(
      files.map(({ name, size }) => [name, size]),
      [
        ['a b.txt', 3],
        ['日本.png', 5],
      ],
    )
    assert.equal(made.gradio.stats().sessions, 1)
    const text = await tab.evaluate(
      async url => (await (await fetch(url as string)).arrayBuffer()).byteLength,
      files[1]?.url,
    )
    assert.equal(text, 5)
  })

  it('sends no upload before the session’s cookie is set', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    await tab.evaluate(() => window.upload(window.file('a.txt', 1)))
    assert.match(made.cookies[0] ?? '', /=/)
    assert.equal(made.gradio.stats().sessions, 1)
  })

  it('accepts a file, a Blob, an array, another iterable, and the files of an input', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    await tab.setInputFiles('input', [
      { name: 'x.txt', mimeType: 'text/plain', buffer: Buffer.from('x') },
      { name: 'y.txt', mimeType: 'text/plain', buffer: Buffer.from('yy') },
    ])
    const outcomes = await tab.evaluate(async () => {
      const input = document.querySelector('input') as HTMLInputElement
      await window.server
      const outcomes = [
        window.upload(window.file('one.txt', 1)),
        window.upload(new Blob(['22'])),
        window.upload([window.file('three.txt', 3)]),
        window.upload(new Set([window.file('four.txt', 4)])),
        window.upload(input.files as FileList),
        window.upload([]),
      ]
      // This empties the list before the first byte is sent.
      await null
      input.value = ''
      return Promise.all(outcomes)
    })
    const results = outcomes.map(({ body }) =>
      (body as { name: string; size: number }[]).map(({ name, size }) => [name, size]),
    )
    assert.deepEqual(results, [
      [['one.txt', 1]],
      [['blob', 2]],
      [['three.txt', 3]],
      [['four.txt', 4]],
      [
        ['x.txt', 1],
        ['y.txt', 2],
      ],
      [],
    ])
  })

  it('reports progress that increases and ends at the total', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    await connected(tab)
    await throttle(tab, 8 * MB)
    const { body, progress } = await tab.evaluate(
      size => window.upload([window.file('large.bin', size)]),
      4 * MB,
    )
    assert.equal((body as unknown[]).length, 1)
    assert.ok(progress.length > 2, `${progress.length} steps`)
    const [first] = progress as [UploadProgress]
    assert.ok(first.loaded < first.total)
    for (const [index, { loaded, total }] of progress.entries()) {
      assert.equal(total, first.total)
      assert.ok(loaded >= (progress[index - 1]?.loaded ?? 0), JSON.stringify(progress))
    }
    assert.ok(first.total >= 4 * MB && first.total < 4 * MB + 1000)
    assert.equal(progress.at(-1)?.loaded, first.total)
  })

  it('accepts any URL of the app, and another field', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    const outcomes = await tab.evaluate(async () => [
      await window.upload([window.file('a.txt', 3)], { url: '/mine', field: 'pictures' }),
      await window.upload([window.file('b.txt', 4)], {
        url: new URL('/mine', location.href),
        field: 'pictures',
      }),
      await window.upload([window.file('c.txt', 4)], { url: '/nothing' }),
    ])
    assert.deepEqual(
      outcomes.map(({ body }) => body),
      [[['a.txt', 3]], [['b.txt', 4]], ''],
    )
  })

  it("rejects with the server's error", async t => {
    const made = await uploadSite(t, { maxFileSize: 1000 })
    const tab = await openTab(t, made)
    const tooLarge = await tab.evaluate(size => window.upload([window.file('large.bin', size)]), MB)
    assert.equal(tooLarge.error?.status, 413)
    assert.equal(tooLarge.error?.code, 'FILE_TOO_LARGE')
    assert.match(tooLarge.error?.message ?? '', /^Expected at most 1000 bytes/)
    assert.equal(tooLarge.error?.name, 'Error')
    assert.deepEqual(made.onDisk(), [])

    const others = await tab.evaluate(async () => [
      await window.upload(window.file('a.txt', 1), { field: 'other' }),
      await window.upload(window.file('a.txt', 1), { url: '/refuse' }),
      await window.upload(window.file('a.txt', 1), { url: '/page' }),
      await window.upload(5 as never),
    ])
    const [field, refused, page, nonsense] = others.map(({ error }) => error)
    assert.deepEqual([field?.status, field?.code], [400, 'UPLOAD_INVALID'])
    assert.deepEqual(refused, {
      name: 'Error',
      message: 'The server responded with status 418.',
      status: 418,
      code: undefined,
      body: { error: 'No tea', more: 1 },
    })
    assert.deepEqual([page?.status, page?.body], [500, '<h1>Oh</h1>'])
    assert.equal(nonsense?.name, 'TypeError')
  })

  it('rejects with the code of the error even when Express responds with its own page', async t => {
    t.mock.method(console, 'error', () => {})
    const made = await uploadSite(t, { maxFileSize: 1000 })
    const tab = await openTab(t, made)
    const outcomes = await tab.evaluate(async () => [
      await window.upload(window.file('large.bin', 2000), { url: '/default' }),
      await window.upload([window.file('a', 1), window.file('b', 1)], { url: '/default' }),
    ])
    assert.deepEqual(
      outcomes.map(({ error }) => [error?.status, error?.code]),
      [
        [413, 'FILE_TOO_LARGE'],
        [400, 'LIMIT_UNEXPECTED_FILE'],
      ],
    )
    assert.match(String(outcomes[0]?.error?.body), /<html/)
    assert.deepEqual(made.onDisk(), [])
  })

  it('rejects with status 0 when the connection is lost', async t => {
    const made = await uploadSite(t)
    const tab = await openTab(t, made)
    await connected(tab)
    made.server.prependListener('request', (req: { socket: { destroy(): void } }) => req.socket.destroy())
    const { error } = await tab.evaluate(() => window.upload(window.file('a.txt', 1)))
    assert.deepEqual(
      [error?.status, error?.message, error?.code],
      [0, 'The server did not respond.', undefined],
    )
  })

  describe('an abort', () => {
    it('stops the upload, and leaves nothing on the server', async t => {
      const made = await uploadSite(t)
      const tab = await openTab(t, made)
      await connected(tab)
      await throttle(tab, 2 * MB)
      await tab.evaluate(size => {
        const files = [window.file('small.txt', 5), window.file('large.bin', size)]
        window.outcome = window.upload(files, { signal: window.aborting.signal })
      }, 20 * MB)
      await until(() => made.onDisk().length === 2, 'both files come in')
      const { error, progress } = await tab.evaluate(() => {
        window.aborting.abort()
        return window.outcome
      })
      assert.equal(error?.name, 'AbortError')
      assert.ok(progress.every(({ loaded, total }) => loaded < total))
      await until(() => made.onDisk().length === 0, 'the server keeps nothing')
      assert.deepEqual(await made.gradio.sessions()[0]?.files(), [])
      const again = await tab.evaluate(() => window.upload(window.file('a.txt', 1)))
      assert.equal((again.body as unknown[]).length, 1)
    })

    it('before the upload sends nothing, and after it changes nothing', async t => {
      const made = await uploadSite(t)
      const tab = await openTab(t, made)
      const { before, after } = await tab.evaluate(async () => {
        const { signal } = window.aborting
        const after = await window.upload(window.file('a.txt', 1), { signal })
        window.aborting.abort(new RangeError('Enough'))
        return { after, before: await window.upload(window.file('b.txt', 1), { signal }) }
      })
      assert.equal((after.body as unknown[]).length, 1)
      assert.deepEqual([before.error?.name, before.error?.message], ['RangeError', 'Enough'])
      assert.equal(made.cookies.length, 1)
    })
  })

  describe('without a connection', () => {
    /** A page that was notified of its session's end, and can't reconnect. */
    async function cutOff(t: TestContext) {
      const made = await uploadSite(t)
      const tab = await openTab(t, made)
      await connected(tab)
      await until(() => made.gradio.stats().pages === 1)
      // At the server: Playwright may let a request pass that it was asked to abort just before.
      made.heartbeats.areCut = true
      await made.gradio.endSession(made.gradio.sessions()[0]?.id ?? '')
      await tab.waitForFunction(async () => !(await window.server).connected)
      return { ...made, tab }
    }

    it('waits for a connection', async t => {
      const { tab, gradio, cookies, heartbeats } = await cutOff(t)
      await tab.evaluate(() => {
        window.outcome = window.upload(window.file('a.txt', 1))
      })
      await tab.waitForTimeout(300)
      assert.equal(cookies.length, 0)
      heartbeats.areCut = false
      const { body } = await tab.evaluate(() => window.outcome)
      assert.equal((body as unknown[]).length, 1)
      assert.equal(gradio.stats().sessions, 1)
      assert.equal((await gradio.sessions()[0]?.files())?.length, 1)
    })

    it('can be cancelled', async t => {
      const { tab, cookies, heartbeats } = await cutOff(t)
      const { error } = await tab.evaluate(() =>
        window.upload(window.file('a.txt', 1), { signal: AbortSignal.timeout(50) }),
      )
      assert.equal(error?.name, 'TimeoutError')
      heartbeats.areCut = false
      // This upload also waits, behind the cancelled one.
      await tab.evaluate(() => window.upload(window.file('b.txt', 1)))
      assert.equal(cookies.length, 1)
    })
  })

  it('works from another origin that is listed, with the cookie and with progress', async t => {
    const front = await uploadSite(t)
    const made = await uploadSite(t, { origins: [front.origin] })
    const tab = await openTab(t, front, `${made.origin}/gradio_api`)
    const { body, error, progress } = await tab.evaluate(() => window.upload(window.file('a.txt', 7)))
    assert.equal(error, undefined)
    assert.deepEqual(
      (body as { size: number }[]).map(({ size }) => size),
      [7],
    )
    assert.ok(progress.length > 0)
    assert.equal(made.gradio.stats().sessions, 1)
    assert.equal((await made.gradio.sessions()[0]?.files())?.length, 1)
  })

  it('uploaded files are deleted with the session, after the page was closed', async t => {
    const made = await uploadSite(t, { gracePeriod: 60 })
    const tab = await openTab(t, made)
    await tab.evaluate(() => window.upload(window.file('a.txt', 1)))
    assert.deepEqual(made.onDisk(), ['a.txt'])
    await tab.close()
    await idle(made.gradio)
    await made.clock.advance(30)
    assert.deepEqual(made.onDisk(), ['a.txt'])
    await made.clock.advance(60)
    await until(() => made.onDisk().length === 0, 'the file is removed')
  })
})
