import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { it, type TestContext } from 'node:test'
import { visitor } from '../../lib/testing/index.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { partHead, slowUpload, unique } from '../support/files/multipart.ts'
import { program } from '../support/program.ts'

/** `LARGE_UPLOAD=2147483648` tests with as many bytes as the documentation promises. */
const SIZE = Number(process.env.LARGE_UPLOAD ?? 512 * 1024 * 1024)
const PIECE = unique(1024 * 1024)

interface Measured {
  size: number
  sha256: string
  peak: number
}

it(`an upload of ${SIZE / 2 ** 20} MiB takes no more memory than a small one`, async t => {
  const cacheDir = scratch(t)
  const { port, close } = await start(t, cacheDir)
  const small = await send(t, port, 4)
  const large = await send(t, port, SIZE / PIECE.length)
  assert.equal(large.size, SIZE)
  assert.equal(large.sha256, large.expected)
  const growth = (large.peak - small.peak) / 2 ** 20
  t.diagnostic(
    `${Math.round(small.peak / 2 ** 20)} MiB at first, and ${Math.round(growth)} MiB more at the peak`,
  )
  assert.ok(growth < 100, `${growth} MiB`)
  await close()
  assert.deepEqual(filesBelow(cacheDir), [])
})

async function start(t: TestContext, cacheDir: string) {
  const child = spawn(process.execPath, [...program('test/support/files/upload-server.ts'), cacheDir], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  t.after(() => child.kill())
  const exited = once(child, 'exit')
  const [port] = (await once(child, 'message')) as [number]
  return {
    port,
    async close() {
      child.disconnect()
      await exited
    },
  }
}

/** Uploads this many pieces, as fast as they are accepted. */
async function send(t: TestContext, port: number, pieces: number): Promise<Measured & { expected: string }> {
  const upload = await slowUpload(t, port, visitor(`http://127.0.0.1:${port}`))
  const hash = createHash('sha256')
  await upload.send(partHead({ name: 'large' }))
  for (let i = 0; i < pieces; i++) {
    hash.update(PIECE)
    await upload.send(PIECE)
  }
  const { status, body } = await upload.finish<Measured>()
  assert.equal(status, 200)
  return { ...body, expected: hash.digest('hex') }
}
