// An app with pages, values, hooks and uploads, and its user. Runs in any runtime that has the modules of Node.js, and exits with 0
// when everything was right.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import express from 'express'
import { gradioState } from 'gradio-state'
import { visitor } from 'gradio-state/testing'

const cacheDir = mkdtempSync(join(tmpdir(), 'gradio-state-smoke-'))
const log = []
const gradio = gradioState({ cacheDir, unloadDelay: 0.1, gracePeriod: 1, deleteCache: [60, 3600] })
gradio.on('error', error => log.push(error.stack))
gradio.load(() => log.push('LOAD'))
gradio.unload(({ reason }) => log.push(`UNLOAD ${reason}`))
gradio.ended(({ reason }) => log.push(`ENDED ${reason}`))
const history = gradio.state('history', {
  value: () => [],
  deleteCallback: (names, { reason }) => log.push(`DELETED ${names.length} ${reason}`),
})

const app = express()
app.use(gradio)
app.get('/', (_req, res) => res.send('<script type="module" src="/gradio_api/client.js"></script>'))
app.get('/history', (req, res) => res.json(req.gradioState.get(history)))
app.post('/upload', gradio.upload.array('files'), (req, res) => {
  const files = gradio.filesOf(req)
  req.gradioState.update(history, names => [...names, ...files.map(({ name }) => name)])
  res.json(files)
})
app.post('/save', async (req, res) => res.json(await req.gradioState.saveFile(req, { name: 'streamed.bin' })))

const server = createServer(app)
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const user = visitor(`http://127.0.0.1:${server.address().port}`)

await user.fetch('/')
const page = await user.openPage()
assert.deepEqual(log, ['LOAD'])

// Of a few bytes, and of many chunks.
for (const size of [10, 8 * 1024 * 1024]) {
  const bytes = randomBytes(size)
  const body = new FormData()
  body.set('files', new Blob([bytes]), `${size}.bin`)
  const [uploaded] = await respond('/upload', { method: 'POST', body })
  const saved = await respond('/save', { method: 'POST', body: bytes })
  for (const file of [uploaded, saved]) {
    assert.equal(file.size, size)
    assert.equal(file.sha256, createHash('sha256').update(bytes).digest('hex'))
    assert.ok(existsSync(file.path))
    const served = await user.fetch(file.url)
    assert.ok(bytes.equals(Buffer.from(await served.arrayBuffer())), 'the same bytes are served')
    const part = await user.fetch(file.url, { headers: { Range: 'bytes=2-5' } })
    assert.ok(bytes.subarray(2, 6).equals(Buffer.from(await part.arrayBuffer())), 'a range is served')
  }
}
assert.deepEqual(await respond('/history'), ['10.bin', `${8 * 1024 * 1024}.bin`])
const directory = dirname((await respond('/save', { method: 'POST', body: 'last' })).path)

await page.close()
await until(() => log.includes('ENDED disconnected'))
assert.deepEqual(log, ['LOAD', 'UNLOAD disconnected', 'DELETED 2 disconnected', 'ENDED disconnected'])
await until(() => !existsSync(directory))

await visitor(`http://127.0.0.1:${server.address().port}`).fetch('/history')
await gradio.close({ server })
assert.deepEqual(log.slice(4), ['LOAD', 'UNLOAD shutdown', 'DELETED 0 shutdown', 'ENDED shutdown'])
rmSync(cacheDir, { recursive: true })
console.log('OK')
process.exit(0)

async function respond(path, options) {
  const response = await user.fetch(path, options)
  assert.equal(response.status, 200, path)
  return response.json()
}

async function until(condition) {
  const giveUp = performance.now() + 30_000
  while (!condition()) {
    assert.ok(performance.now() < giveUp, `${condition}: ${log}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
