import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { GradioStateError, type GradioStateOptions } from '../../lib/index.ts'
import { assertNothingLeft, bytesBelow, filesBelow } from '../support/files/disk.ts'
import { type Failure, partHead, slowUpload, unique, upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, until } from '../support/http/express.ts'

const file = (size: number, name = 'file') => ({ name, bytes: unique(size) })

forEachExpress((_name, express) => {
  const limits: [string, number, GradioStateOptions][] = [
    ['FILE_TOO_LARGE', 413, { maxFileSize: 1_000_000 }],
    ['SESSION_FULL', 413, { maxSessionBytes: 1_000_000 }],
    ['CACHE_FULL', 507, { maxCacheBytes: '1000000b' }],
  ]
  for (const [code, expected, options] of limits) {
    const limit = Object.keys(options)[0]!

    it(`what exceeds ${limit} is rejected with ${expected} and ${code}, and leaves nothing`, async t => {
      const { newUser, gradio, cacheDir, failures } = await uploadSite(t, express, options)
      const { user, id } = await newUser()
      for (const size of [1_000_001, 5_000_000]) {
        const { status, body } = await upload<Failure>(user, [file(size)])
        assert.deepEqual([status, body.code, body.name], [expected, code, 'GradioStateError'])
        assert.match(body.message, new RegExp(`^Expected at most 1000000 bytes \\(${limit}\\), got more\\.`))
        assert.ok(failures.at(-1) instanceof GradioStateError)
        assertNothingLeft(gradio, cacheDir)
      }
      assert.equal((await upload(user, [file(1_000_000)])).status, 200)
      await gradio.endSession(id)
      assertNothingLeft(gradio, cacheDir)
    })
  }

  it('maxFileSize applies to each file separately', async t => {
    const { newUser, gradio } = await uploadSite(t, express, { maxFileSize: 5000 })
    const { user } = await newUser()
    const { status } = await upload(user, [file(5000, 'a'), file(5000, 'b'), file(5000, 'c')])
    assert.deepEqual([status, gradio.stats().fileBytes], [200, 15_000])
  })

  it('maxSessionBytes applies to the files of one session, and deleted files make room', async t => {
    const { newUser, gradio, cacheDir } = await uploadSite(t, express, { maxSessionBytes: 10_000 })
    const { user, id } = await newUser()
    const other = await newUser()
    assert.equal((await upload(user, [file(5000, 'kept')])).status, 200)
    assert.equal((await upload<Failure>(user, [file(5001)])).body.code, 'SESSION_FULL')
    assert.equal((await upload(other.user, [file(10_000)])).status, 200)
    const session = gradio.session(id)!
    await session.adopt((await session.files())[0]!, join(cacheDir, 'adopted'))
    assert.equal((await upload(user, [file(10_000)])).status, 200)
    assert.equal(gradio.stats().fileBytes, 20_000)
  })

  it('maxCacheBytes applies to the files of all sessions, and the end of one makes room', async t => {
    const { newUser, gradio } = await uploadSite(t, express, { maxCacheBytes: 10_000 })
    const { user, id } = await newUser()
    const other = await newUser()
    assert.equal((await upload(user, [file(5000)])).status, 200)
    assert.equal((await upload<Failure>(other.user, [file(5001)])).body.code, 'CACHE_FULL')
    assert.equal((await upload(other.user, [file(5000)])).status, 200)
    await gradio.endSession(id)
    assert.equal((await upload(other.user, [file(5000, 'another')])).status, 200)
    assert.equal(gradio.stats().fileBytes, 10_000)
  })

  it('the same file again takes room only during its upload', async t => {
    const { newUser, gradio } = await uploadSite(t, express, { maxCacheBytes: 10_000 })
    const { user } = await newUser()
    const same = file(5000)
    for (let i = 0; i < 5; i++) assert.equal((await upload(user, [same])).status, 200)
    assert.equal(gradio.stats().fileBytes, 5000)
  })

  it("bytes are counted while they arrive: two halves that don't fit together", async t => {
    const { port, newUser, gradio, cacheDir } = await uploadSite(t, express, { maxCacheBytes: 100_000 })
    const { user, id } = await newUser()
    const first = await slowUpload(t, port, user)
    await first.send(partHead({ name: 'first' }))
    await first.send(unique(60_000))
    await until(() => gradio.stats().fileBytes === 60_000)
    const { status, body } = await upload<Failure>(user, [file(60_000, 'second')])
    assert.deepEqual([status, body.code, gradio.stats().fileBytes], [507, 'CACHE_FULL', 60_000])
    await first.send(unique(40_000))
    assert.equal((await first.finish()).status, 200)
    await gradio.endSession(id)
    assertNothingLeft(gradio, cacheDir)
  })

  it('a rejected upload is deleted at once, not when its client has sent the rest', async t => {
    const { port, newUser, gradio, cacheDir } = await uploadSite(t, express, { maxFileSize: 300_000 })
    const { user } = await newUser()
    const slow = await slowUpload(t, port, user)
    await slow.send(partHead({ name: 'large' }))
    await slow.send(unique(290_000))
    await until(() => filesBelow(cacheDir).length === 1)
    await slow.send(unique(20_000))
    await until(() => gradio.stats().fileBytes === 0 && filesBelow(cacheDir).length === 0)
    await slow.send(unique(20_000))
    const { status, body } = await slow.finish<Failure>()
    assert.deepEqual([status, body.code], [413, 'FILE_TOO_LARGE'])
    assertNothingLeft(gradio, cacheDir)
  })

  for (const dedup of ['session', 'cache'] as const) {
    it(`parallel uploads never exceed maxCacheBytes (dedup: ${dedup})`, async t => {
      const maxCacheBytes = 3_000_000
      const { newUser, gradio, cacheDir, received } = await uploadSite(t, express, { maxCacheBytes, dedup })
      const users = await Promise.all(Array.from({ length: 8 }, newUser))
      let isOver = false
      let most = 0
      const measure = () => {
        most = Math.max(most, bytesBelow(cacheDir), gradio.stats().fileBytes)
      }
      const watch = () => {
        measure()
        if (!isOver) setImmediate(watch)
      }
      watch()
      const shared = unique(300_000)
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, i) => {
          const bytes = i % 4 === 0 ? shared : unique(200_000 + 10_000 * (i % 20))
          return upload(users[i % users.length]!.user, [{ name: `${i}`, bytes }])
        }),
      )
      isOver = true
      measure()
      assert.ok(most <= maxCacheBytes, `${most} bytes`)
      const statuses = new Set(answers.map(({ status }) => status))
      // All of them may be rejected: each has room for its beginning, none for its end.
      assert.ok(statuses.has(507))
      for (const status of statuses) assert.ok(status === 200 || status === 507, `${status}`)
      const isKept = new Set(received.flat().map(({ path }) => path))
      assert.equal(gradio.stats().files, isKept.size)
      if (dedup === 'session') assert.equal(gradio.stats().fileBytes, bytesBelow(cacheDir))
      await Promise.all(users.map(({ id }) => gradio.endSession(id)))
      assertNothingLeft(gradio, cacheDir)
    })
  }
})
