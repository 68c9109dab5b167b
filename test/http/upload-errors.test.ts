// The errors in the app's own upload routes when the request is at fault: multer's errors, with a status.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { it, type TestContext } from 'node:test'
import type { ErrorRequestHandler } from 'express'
import multer, { MulterError } from 'multer'
import { GradioStateError } from '../../lib/index.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { type ExpressModule, forEachExpress, site, until } from '../support/http/express.ts'

const MULTIPART = 'multipart/form-data; boundary=x'

function part(name: string, content: string, filename?: string): string {
  const file = filename === undefined ? '' : `; filename="${filename}"`
  return `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`
}

const END = '--x--\r\n'

interface Refusal {
  path?: string
  body: string
  type?: string
  status: number
  code?: string
  message: RegExp
}

const REFUSALS: Record<string, Refusal> = {
  'a file in another field': {
    body: part('picture', 'a', 'a.txt') + END,
    status: 400,
    code: 'LIMIT_UNEXPECTED_FILE',
    message: /Unexpected file field/,
  },
  'too many files of a field': {
    body: 'abc'.replaceAll(/./g, name => part('files', name, name)) + END,
    status: 400,
    code: 'LIMIT_UNEXPECTED_FILE',
    message: /Unexpected file field/,
  },
  'a text that is too long': {
    body: part('text', 'x'.repeat(70_000)) + END,
    status: 400,
    code: 'LIMIT_FIELD_VALUE',
    message: /Field value too long/,
  },
  'a part without a name': {
    body: `--x\r\nContent-Disposition: form-data\r\n\r\ntext\r\n${END}`,
    status: 400,
    code: 'MISSING_FIELD_NAME',
    message: /Field name missing/,
  },
  'a body that ends in a file': {
    body: part('files', 'whole', 'whole.txt') + part('files', 'half', 'half.txt').trimEnd(),
    status: 400,
    message: /Unexpected end of (form|file)/,
  },
  'a part whose head is malformed': {
    body: '--x\r\nnonsense\r\n\r\nnonsense',
    status: 400,
    message: /Malformed part header/,
  },
  'no boundary': { body: END, type: 'multipart/form-data', status: 400, message: /Boundary not found/ },
  'an empty boundary': {
    body: '----\r\n',
    type: 'multipart/form-data; boundary=',
    status: 400,
    message: /Boundary not found/,
  },
  'an empty boundary before another parameter': {
    body: '----\r\n',
    type: 'Multipart/Form-Data; Boundary=""; charset=utf-8',
    status: 400,
    message: /Boundary not found/,
  },
  'a file over maxFileSize': {
    body: part('files', 'x'.repeat(20_000), 'a.txt') + END,
    status: 413,
    code: 'FILE_TOO_LARGE',
    message: /^Expected at most 10000 bytes/,
  },
}

interface Seen {
  status?: number
  statusCode?: number
  expose?: boolean
  code?: string
}

async function uploads(t: TestContext, express: ExpressModule, { handler = true } = {}) {
  const cacheDir = scratch(t)
  const seen: (Error & Seen)[] = []
  const made = await site(t, express, {
    session: false,
    options: { cacheDir, maxFileSize: 10_000 },
    routes(app, gradio) {
      app.post('/array', gradio.upload.array('files', 2), (_req, res) => res.sendStatus(201))
      app.post('/single', gradio.upload.single('files'), (_req, res) => res.sendStatus(201))
      app.post('/fields', gradio.upload.fields([{ name: 'files', maxCount: 2 }]), (_req, res) =>
        res.sendStatus(201),
      )
      app.post('/none', gradio.upload.none(), (req, res) => res.json(req.body))
      app.post('/any', gradio.upload.any(), (_req, res) => res.sendStatus(201))
      const own = multer({ storage: gradio.storage, limits: { fileSize: 5 } })
      app.post('/own', own.single('files'), (_req, res) => res.sendStatus(201))
      const note: ErrorRequestHandler = (error: Error & Seen, _req, res, _next) => {
        seen.push(error)
        res.status(error.status ?? 500).end()
      }
      if (handler) app.use(note)
    },
  })
  const send = (path: string, body: string, type = MULTIPART) =>
    made.visitor().fetch(path, { method: 'POST', body, headers: { 'content-type': type } })
  return { ...made, seen, send, onDisk: () => filesBelow(cacheDir) }
}

forEachExpress((_name, express) => {
  for (const [name, { path = '/array', body, type, status, code, message }] of Object.entries(REFUSALS)) {
    it(`${name}: ${status} with multer's error, for the app's handler and for Express' own`, async t => {
      const { send, seen, onDisk } = await uploads(t, express)
      assert.equal((await send(path, body, type)).status, status)
      const [error, ...others] = seen
      assert.ok(error !== undefined)
      assert.deepEqual([error.status, error.statusCode, error.expose], [status, status, true])
      assert.equal(error.code, code)
      assert.match(error.message, message)
      if (code !== undefined) {
        const expected = code === 'FILE_TOO_LARGE' ? GradioStateError : MulterError
        assert.ok(error instanceof expected)
      }
      assert.deepEqual([others, onDisk()], [[], []])

      t.mock.method(console, 'error', () => {})
      const bare = await uploads(t, express, { handler: false })
      const response = await bare.send(path, body, type)
      assert.equal(response.status, status)
      assert.equal(response.headers.get('gradio-state-error'), code ?? null)
      assert.deepEqual(bare.onDisk(), [])
    })
  }

  it("every method of gradio.upload rejects and accepts like multer's", async t => {
    const { send, seen, onDisk } = await uploads(t, express)
    const file = part('files', 'a', 'a.txt') + END
    for (const path of ['/single', '/fields', '/any']) assert.equal((await send(path, file)).status, 201)
    assert.equal((await send('/none', file)).status, 400)
    const texts = await send('/none', part('text', 'a') + END)
    assert.deepEqual(await texts.json(), { text: 'a' })
    const broken = part('files', 'a', 'a.txt').trimEnd()
    for (const path of ['/single', '/fields', '/any', '/none']) {
      assert.equal((await send(path, broken)).status, 400, path)
    }
    assert.equal(seen.length, 5)
    assert.equal(onDisk().length, 3)
  })

  it('a body of another type passes, as with multer', async t => {
    const { send, seen } = await uploads(t, express)
    assert.equal((await send('/array', '{}', 'application/json')).status, 201)
    assert.deepEqual(seen, [])
  })

  it('a request that is cut off causes an error with a status too', async t => {
    const { port, seen, onDisk } = await uploads(t, express)
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    const head = `POST /array HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nContent-Type: ${MULTIPART}\r\n\r\n`
    socket.write(head + part('files', 'a'.repeat(5000), 'a.txt').trimEnd(), () => socket.destroy())
    await until(() => seen.length === 1)
    assert.deepEqual([seen[0]?.status, onDisk()], [400, []])
  })

  it("the app's own multer throws the errors that it throws without this library", async t => {
    const { send, seen } = await uploads(t, express)
    assert.equal((await send('/own', part('files', '123456', 'a.txt') + END)).status, 500)
    assert.deepEqual([seen[0]?.code, seen[0]?.status], ['LIMIT_FILE_SIZE', undefined])
  })
})
