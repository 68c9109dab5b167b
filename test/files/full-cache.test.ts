// What happens when the files of all sessions have reached maxCacheBytes.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, unlinkSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import type { CachedFile, GradioStateOptions } from '../../lib/index.ts'
import { bytesBelow, scratch } from '../support/files/disk.ts'
import { type Failure, unique, upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, idle } from '../support/http/express.ts'
import { deferred, harness } from '../support/sessions/harness.ts'

const KB = 1_000
const MAX = 1_000 * KB

forEachExpress((_name, express) => {
  async function app(t: TestContext, options: GradioStateOptions = {}) {
    const made = await uploadSite(t, express, { maxCacheBytes: MAX, ...options })
    const { gradio, visitor, newUser } = made
    /** The evicted sessions in order, and how many files each had at its end. */
    const evicted: [id: string, files: number][] = []
    gradio.ended(({ session, reason }) => {
      const { id, directory } = session
      if (reason === 'evicted')
        evicted.push([id, existsSync(directory) ? readdirSync(`${directory}/saved`).length : 0])
    })
    /** Uploads as clients without cookies, with one session each. @returns the ids of these sessions */
    const flood = async (count: number, size: number) => {
      const known = new Set(gradio.sessions().map(({ id }) => id))
      for (let number = 0; number < count; number++) {
        const { status } = await upload(visitor(), [{ name: 'file', bytes: unique(size) }])
        assert.equal(status, 200)
        await idle(gradio)
      }
      return gradio
        .sessions()
        .map(({ id }) => id)
        .filter(id => !known.has(id))
    }
    /** A user who returned, with a file. */
    const returned = async (size: number) => {
      const { user, id } = await newUser()
      assert.equal((await upload(user, [{ name: 'file', bytes: unique(size) }])).status, 200)
      await idle(gradio)
      return { user, id }
    }
    return { ...made, evicted, flood, returned }
  }

  it('sessions that never returned are evicted, the longest closed first, with their callbacks', async t => {
    const { gradio, cacheDir, evicted, flood, returned } = await app(t)
    const { user, id } = await returned(100 * KB)
    const strangers = await flood(9, 100 * KB)
    assert.equal(gradio.stats().fileBytes, MAX)
    assert.equal((await upload(user, [{ name: 'second', bytes: unique(250 * KB) }])).status, 200)
    assert.deepEqual(
      evicted,
      strangers.slice(0, 3).map(id => [id, 1]),
    )
    assert.equal(gradio.stats().fileBytes, bytesBelow(cacheDir))
    assert.equal((await gradio.session(id)?.files())?.length, 2)
  })

  it('simultaneous uploads evict no more than they need together', async t => {
    const { evicted, flood, newUser } = await app(t)
    const users = await Promise.all(Array.from({ length: 4 }, newUser))
    await flood(10, 100 * KB)
    const answers = await Promise.all(
      users.map(({ user }) => upload(user, [{ name: 'file', bytes: unique(100 * KB) }])),
    )
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200],
    )
    assert.equal(evicted.length, 4)
  })

  it('many small sessions make room for one large file', async t => {
    const { evicted, flood, returned } = await app(t, { maxCacheBytes: 40 * 4096 })
    const { user } = await returned(10 * 4096)
    await flood(30, 1)
    assert.equal((await upload(user, [{ name: 'large', bytes: unique(20 * 4096) }])).status, 200)
    assert.equal(evicted.length, 20)
  })

  it('the files of a session that returned are never evicted: CACHE_FULL', async t => {
    const { gradio, evicted, flood, returned } = await app(t)
    await returned(500 * KB)
    const { user } = await returned(400 * KB)
    await flood(1, 100 * KB)
    const { status, body } = await upload<Failure>(user, [{ name: 'more', bytes: unique(101 * KB) }])
    assert.deepEqual([status, body.code], [507, 'CACHE_FULL'])
    assert.equal(evicted.length, 1)
    assert.equal(gradio.stats().fileBytes, 900 * KB)
    assert.equal((await upload(user, [{ name: 'more', bytes: unique(100 * KB) }])).status, 200)
  })
})

describe('a full cache', () => {
  const setting = (t: TestContext) => harness(t, { cacheDir: scratch(t), maxCacheBytes: 10 * 4096 })

  it('evicts neither a session with a request in flight nor the one that the file is for', async t => {
    const { gradio, user } = setting(t)
    const { state, end } = await user('open').begin()
    for (let number = 0; number < 5; number++) await state.saveFile('', { name: `${number}` })
    const own = await user('own').session()
    for (let number = 0; number < 5; number++) await own.saveFile('', { name: `${number}` })
    await assert.rejects(own.saveFile('', { name: 'more' }), { code: 'CACHE_FULL' })
    assert.equal((await own.files()).length, 5)
    end()
    await own.saveFile('', { name: 'more' })
    assert.equal(gradio.stats().ended.evicted, 1)
  })

  it('evicts sessions whose files were saved after they had closed', async t => {
    const { gradio, user } = setting(t)
    const closed = await user('closed').session()
    for (let number = 0; number < 10; number++) await closed.saveFile('', { name: `${number}` })
    await user('other').request(state => state.saveFile('', { name: 'file' }))
    assert.equal(gradio.session(closed.id), undefined)
  })

  it('evicts none while the callbacks of maxSessions ended sessions are running', async t => {
    const { gradio, clock, user } = harness(t, {
      cacheDir: scratch(t),
      maxCacheBytes: 3 * 4096,
      maxSessions: 2,
    })
    const { promise, resolve } = deferred()
    gradio.ended(() => promise)
    for (const name of ['one', 'two']) void (await user(name).session()).end()
    const stranger = await user('stranger').session()
    for (let number = 0; number < 3; number++) await stranger.saveFile('', { name: `${number}` })
    const { state, end } = await user('other').begin()
    await assert.rejects(state.saveFile('', { name: 'file' }), { code: 'CACHE_FULL' })
    assert.equal((await stranger.files()).length, 3)
    resolve()
    await clock.advance(0)
    await state.saveFile('', { name: 'file' })
    assert.equal(gradio.stats().ended.evicted, 1)
    end()
  })

  it('uses the room of files that the app has removed', async t => {
    const { gradio, user } = setting(t)
    const { state, end } = await user().begin()
    for (let round = 0; round < 3; round++) {
      const files: CachedFile[] = []
      for (let number = 0; number < 10; number++)
        files.push(await state.saveFile('', { name: `${round} ${number}` }))
      for (const { path } of files) unlinkSync(path)
    }
    await state.saveFile('', { name: 'last' })
    assert.equal(gradio.stats().files, 1)
    end()
  })
})
