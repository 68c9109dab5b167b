import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { chargeOf } from '../../lib/files/quota.ts'
import type { GradioState } from '../../lib/index.ts'
import { assertNothingLeft, descriptors, filesBelow, openBelow } from '../support/files/disk.ts'
import {
  END,
  type Failure,
  partHead,
  slowUpload,
  unique,
  upload,
  wholeRequest,
} from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, idle, until } from '../support/http/express.ts'

/** An unhandled error or rejection ends a process. */
function watchForUncaught(t: TestContext): unknown[] {
  const uncaught: unknown[] = []
  const note = (error: unknown) => uncaught.push(error)
  process.on('unhandledRejection', note).on('uncaughtException', note)
  t.after(() => process.off('unhandledRejection', note).off('uncaughtException', note))
  return uncaught
}

/** Waits until no bytes are in flight. What an aborted upload has left then, it leaves for good. */
const nothingCounted = (gradio: GradioState) =>
  until(() => gradio.stats().fileBytes === 0, 'that no bytes are counted')

forEachExpress((_name, express) => {
  const large = unique(600_000)
  const stages: [string, (string | Uint8Array)[]][] = [
    ['after the head of the request', []],
    ['within the head of a part', [partHead({ name: 'file' }).slice(0, 40)]],
    ['before the first byte of a file', [partHead({ name: 'file' })]],
    ['in a file that is still in memory', [partHead({ name: 'file' }), large.subarray(0, 1000)]],
    ['in a file that is being written', [partHead({ name: 'file' }), large.subarray(0, 500_000)]],
    ['in the boundary after a file', [partHead({ name: 'file' }), large, END.slice(0, 10)]],
    [
      'in the second file, when the first is stored',
      [partHead({ name: 'first' }), large, partHead({ name: 'second' }), large.subarray(0, 400_000)],
    ],
    ['before the end of the body', [partHead({ name: 'file' }), large, END.slice(0, -4)]],
  ]
  for (const [when, sent] of stages) {
    it(`a client that disconnects ${when} leaves nothing`, async t => {
      const uncaught = watchForUncaught(t)
      const { port, newUser, gradio, cacheDir, received, failures } = await uploadSite(t, express)
      const { user } = await newUser()
      await idle(gradio)
      const slow = await slowUpload(t, port, user)
      await until(() => gradio.stats().open === 1)
      for (const piece of sent) await slow.send(piece)
      const due = sent.reduce((sum, piece) => sum + (typeof piece === 'string' ? 0 : piece.length), 0)
      await until(() => gradio.stats().fileBytes >= due)
      slow.socket.resetAndDestroy()
      await idle(gradio)
      await nothingCounted(gradio)
      await until(() => filesBelow(cacheDir).length + openBelow(cacheDir).length === 0)
      await until(() => failures.length === 1, 'that multer has reported it')
      assertNothingLeft(gradio, cacheDir)
      assert.deepEqual([received, uncaught], [[], []])
    })
  }

  it('a client that disconnects while its first upload creates the directory leaves nothing', async t => {
    const { port, newUser, gradio, cacheDir, failures } = await uploadSite(t, express)
    for (let i = 0; i < 20; i++) {
      const { user, id } = await newUser()
      const { bytes } = wholeRequest(user, [{ name: 'file', bytes: unique(70_000) }])
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      socket.write(bytes.subarray(0, 60_000), () => socket.destroy())
      await once(socket, 'close')
      await until(() => failures.length === i + 1)
      await idle(gradio)
      await nothingCounted(gradio)
      // This waits for every upload that has not been aborted.
      await gradio.endSession(id)
      assertNothingLeft(gradio, cacheDir)
    }
  })

  it('250 uploads that are cut off anywhere leave nothing but earlier uploads', async t => {
    const uncaught = watchForUncaught(t)
    const { server, port, newUser, gradio, cacheDir, received, failures } = await uploadSite(t, express)
    const seed = Math.floor(Math.random() * 2 ** 31)
    const random = randomFrom(seed)
    const users = await Promise.all(Array.from({ length: 4 }, newUser))
    await upload(users[0]!.user, [{ name: 'kept', bytes: 'kept' }])
    await idle(gradio)
    const open = descriptors().length
    let connections = 0
    let begun = 0
    server.on('connection', socket => socket.once('close', () => connections++))
    server.on('request', () => begun++)
    const contents = [unique(1000), unique(300_000), unique(700_000)]
    async function cutOne(): Promise<void> {
      const { user } = users[Math.floor(random() * users.length)]!
      const files = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, i) => {
        const content = contents[Math.floor(random() * contents.length)]!
        // Some have the same content as others in flight.
        return { name: random() < 0.5 ? 'same' : `file ${i}`, bytes: random() < 0.7 ? content : unique(1000) }
      })
      const { bytes, head } = wholeRequest(user, files)
      const at = cutAt(random, head, bytes.length)
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      const closed = new Promise(resolve => socket.once('close', resolve))
      socket.resume()
      const pieces = random() < 0.5 ? [0, at] : [0, Math.floor(at * random()), at]
      for (let i = 1; i < pieces.length; i++)
        await new Promise<void>(resolve => {
          socket.once('close', resolve)
          socket.write(bytes.subarray(pieces[i - 1], pieces[i]), () => resolve())
        })
      if (random() < 0.5) socket.resetAndDestroy()
      else socket.destroy()
      await closed
    }
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        for (let i = 0; i < 25; i++) await cutOne()
      }),
    )
    await idle(gradio)
    // The server may still have to read what was sent, and every request has to finish.
    await until(
      () => connections === 250 && begun === received.length - 1 + failures.length,
      `that the server has done with 250 connections (seed ${seed})`,
    )
    await idle(gradio)
    // A complete request is processed even without its client, so its handler may still be called.
    const keptNow = () => new Map(received.flat().map(({ path, size }) => [path, size]))
    const charge = (path: string, size: number) => chargeOf(size) + (/\/saved-\d+\//.test(path) ? 4096 : 0)
    const sum = (files: Iterable<[string, number]>) =>
      [...files].reduce((sum, file) => sum + charge(...file), 0)
    await until(() => {
      const kept = keptNow()
      const { files, fileBytes } = gradio.stats()
      return files === kept.size && fileBytes === sum(kept) && filesBelow(cacheDir).length === files
    }, `that what is kept is what was uploaded (seed ${seed})`)
    const text = `seed ${seed}, ${received.length - 1} came through`
    assert.deepEqual(
      filesBelow(cacheDir).map(path => join(cacheDir, path)),
      [...keptNow().keys()].sort(),
      text,
    )
    // A file is deleted first and then closed, so the last descriptors may stay open slightly longer than the counts.
    await until(() => openBelow(cacheDir).length === 0, `that no file is open (${text})`)
    await until(() => descriptors().length <= open, `${open} descriptors (${text})`)
    await Promise.all(users.map(({ id }) => gradio.endSession(id)))
    assertNothingLeft(gradio, cacheDir)
    assert.deepEqual(uncaught, [], text)
    t.diagnostic(text)
  })

  it('a session that ends aborts its uploads at once, and their clients get an error', async t => {
    const { port, newUser, gradio, cacheDir } = await uploadSite(t, express)
    for (const size of [0, 1000, 500_000]) {
      // The parser treats the end of a part's head as a possible boundary until more bytes arrive.
      const counted = size === 0 ? 0 : chargeOf(size)
      const { user, id } = await newUser()
      await idle(gradio)
      const slow = await slowUpload(t, port, user)
      await slow.send(partHead({ name: 'file' }))
      await slow.send(unique(size))
      await until(() => gradio.stats().open === 1 && gradio.stats().fileBytes === counted)
      await gradio.endSession(id)
      assertNothingLeft(gradio, cacheDir)
      await slow.send(unique(1000))
      const { status, body } = await slow.finish<Failure>()
      assert.deepEqual([status, body.code], [410, 'SESSION_ENDED'])
      assertNothingLeft(gradio, cacheDir)
    }
  })

  it('a file of a request whose session has ended is removed without an error', async t => {
    const { port, newUser, gradio, cacheDir, failures } = await uploadSite(t, express)
    const { user, id } = await newUser()
    const slow = await slowUpload(t, port, user)
    await slow.send(partHead({ name: 'first' }))
    await slow.send(`${partHead({ name: 'second' })}second`)
    await until(() => gradio.stats().files === 1)
    await gradio.endSession(id)
    await slow.finish()
    assert.deepEqual((failures as { storageErrors: unknown }[])[0]?.storageErrors, [])
    assertNothingLeft(gradio, cacheDir)
  })

  it('close() aborts the uploads, even when called twice concurrently', async t => {
    const { port, newUser, gradio, cacheDir, clock } = await uploadSite(t, express)
    const { user } = await newUser()
    const slow = await slowUpload(t, port, user)
    await slow.send(partHead({ name: 'file' }))
    await slow.send(unique(500_000))
    await until(() => openBelow(cacheDir).length === 1)
    const closed = Promise.all([gradio.close(), gradio.close()])
    await clock.advance(1)
    await closed
    assertNothingLeft(gradio, cacheDir)
    const { status, body } = await slow.finish<Failure>()
    assert.deepEqual([status, body.code], [410, 'SESSION_ENDED'])
    assertNothingLeft(gradio, cacheDir)
  })

  it('close() waits for the removal of a session that is ending', async t => {
    const { newUser, gradio, cacheDir } = await uploadSite(t, express)
    const { user, id } = await newUser()
    await upload(
      user,
      Array.from({ length: 50 }, (_, i) => ({ name: `${i}`, bytes: `${i}` })),
    )
    const ended = gradio.endSession(id)
    await gradio.close()
    assertNothingLeft(gradio, cacheDir)
    await ended
  })
})

/** Mulberry32 (bryc, public domain): the same numbers for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Where a request is cut: anywhere, and equally often in its head, just before its end, and after its last byte. */
function cutAt(random: () => number, head: number, length: number): number {
  const kind = random()
  if (kind < 0.1) return Math.floor(head * random())
  if (kind < 0.2) return head + Math.floor(200 * random())
  if (kind < 0.35) return length - 1 - Math.floor(60 * random())
  if (kind < 0.5) return length
  return head + Math.floor((length - head) * random())
}
