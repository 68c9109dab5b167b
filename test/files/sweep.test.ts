import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs, { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import express from 'express'
import { type CachedFile, type GradioStateOptions, gradioState, type Pin } from '../../lib/index.ts'
import { testCache } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { failing, pausing } from '../support/files/failing-calls.ts'
import { serve, until } from '../support/http/express.ts'
import { isAbout } from '../support/option-error.ts'
import { harness, testUser } from '../support/sessions/harness.ts'

describe('deleteCache', () => {
  it('deletes files older than the age, when the frequency has passed on the clock', {
    timeout: 120_000,
  }, async t => {
    const { clock, user, gradio } = harness(t, { cacheDir: scratch(t), deleteCache: [60, 300] })
    const save = () => user().request(state => state.saveFile('text', { name: `${clock.now()}.txt` }))
    const first = await save()
    await clock.advance(100)
    const second = await save()
    await clock.advance(199)
    assert.equal(gradio.stats().files, 2)
    await clock.advance(61)
    await until(() => !existsSync(first.path))
    await until(() => gradio.stats().files === 1)
    assert.ok(existsSync(second.path))
    while (gradio.stats().fileBytes > 0) await clock.advance(10)
    assert.ok(clock.now() >= 400_000, `${clock.now()}`)
    assert.equal(gradio.stats().files, 0)
    await until(() => !existsSync(dirname(second.path)), 'that the empty directory is removed')
  })

  it('keeps pinned files until they are released', async t => {
    const { clock, user, gradio } = harness(t, { cacheDir: scratch(t), deleteCache: [10, 20] })
    const { state, end } = await user().begin()
    const file = await state.saveFile('text')
    const pins = [await state.pin(file), await state.pin(file)]
    await clock.advance(100)
    pins[0]!.release()
    pins[0]!.release()
    await clock.advance(10)
    assert.ok(existsSync(file.path))
    pins[1]![Symbol.dispose]()
    await clock.advance(10)
    await until(() => gradio.stats().files === 0)
    await assert.rejects(state.pin(file), isAbout('file of this session', '', '', 'FILE_UNKNOWN'))
    end()
  })

  it('finds files that the app wrote itself, counts them, and deletes them with directories that become empty', async t => {
    const { clock, user, gradio } = harness(t, { cacheDir: scratch(t), deleteCache: [10, 10] })
    const { state, end } = await user().begin()
    const directory = await state.directory()
    mkdirSync(join(directory, 'a/b'), { recursive: true })
    writeFileSync(join(directory, 'a/b/c.txt'), 'text')
    await clock.advance(10)
    await until(() => gradio.stats().fileBytes === 4096)
    await clock.advance(10)
    await until(() => !existsSync(join(directory, 'a')))
    await until(() => gradio.stats().fileBytes === 0)
    assert.ok(existsSync(directory))
    end()
  })

  it('works in real time', { timeout: 120_000 }, async t => {
    const options = { cacheDir: scratch(t), deleteCache: [0.05, 0.2] as const }
    const gradio = gradioState({ ...options, identify: req => req.headers['x-user'] as string })
    t.after(() => gradio.close({ timeout: 0 }))
    const { state, end } = await testUser(gradio).begin()
    const begun = performance.now()
    const { path } = await state.saveFile('text')
    await until(() => !existsSync(path))
    assert.ok(performance.now() - begun >= 200, `${performance.now() - begun} ms`)
    end()
  })

  for (const wrong of [
    [1, 0],
    [0, 1],
    [-1, 5],
    [5, -1],
    [1, Number.NaN],
    [1, 0.0001],
    [Number.POSITIVE_INFINITY, 1],
    [1, Number.POSITIVE_INFINITY],
    [1],
    [1, 2, 3],
    [],
    ['1h', 'soon'],
    [null, 1],
    60,
    '60s',
    true,
    null,
    { frequency: 1, age: 1 },
  ]) {
    it(`refuses ${JSON.stringify(wrong)}`, () => {
      const options = { deleteCache: wrong } as unknown as GradioStateOptions
      assert.throws(() => gradioState(options), isAbout('deleteCache'))
    })
  }
})

describe('a sweep', () => {
  it('does not end a download that is running', { timeout: 120_000 }, async t => {
    const gradio = gradioState({ cacheDir: scratch(t), deleteCache: [0.02, 0.1] })
    const app = express()
    app.use(gradio)
    let untilItBegins: Pin | undefined
    app.post('/save', (req, res, next) => {
      const bytes = Buffer.alloc(20_000_000, 'x')
      const saved = req.gradioState.saveFile(bytes, { name: 'big.bin' })
      saved
        .then(async file => {
          untilItBegins = await req.gradioState.pin(file)
          res.json(file)
        })
        .catch(next)
    })
    const { origin, visitor } = await serve(t, app)
    t.after(() => gradio.close({ timeout: 0 }))
    const user = visitor()
    const file = (await (await user.fetch('/save', { method: 'POST' })).json()) as CachedFile
    const cookie = [...user.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const request = get(new URL(file.url, origin), { headers: { cookie } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 200)
    untilItBegins?.release()
    const since = performance.now()
    await until(() => performance.now() - since > 400)
    assert.ok(existsSync(file.path), 'held by the download')
    let size = 0
    for await (const chunk of response) size += chunk.length
    assert.equal(size, 20_000_000)
    await until(() => !existsSync(file.path))
    assert.equal((await user.fetch(file.url)).status, 404)
  })

  it('keeps a file that is pinned after it was found to be due', async t => {
    const { cache, session, pass } = testCache(t)
    const files = session()
    const [a, b] = [await files.save(Buffer.from('a'), 'a'), await files.save(Buffer.from('b'), 'b')]
    pass(100)
    const swept = cache.sweep(50)
    b.pins++
    await swept
    assert.deepEqual([existsSync(a.path), existsSync(b.path)], [false, true])
    b.pins--
    await cache.sweep(50)
    assert.equal(existsSync(b.path), false)
  })

  it('costs time for due files, not for kept ones', async t => {
    const { cache, session, pass, folder } = testCache(t)
    const files = session()
    for (let i = 0; i < 30; i++) await files.save(Buffer.from(`old ${i}`), 'a')
    pass(100)
    let looks = 0
    for (let i = 0; i < 300; i++) {
      const file = await files.save(Buffer.from(`new ${i}`), 'a')
      const { createdAt } = file
      const get = () => {
        looks++
        return createdAt
      }
      Object.defineProperty(file, 'createdAt', { get })
    }
    await cache.sweep(50)
    assert.deepEqual([filesBelow(folder).length, looks], [300, 1])
    const calls = [
      t.mock.method(fs, 'open'),
      ...(['lstat', 'open', 'readdir', 'stat', 'unlink'] as const).map(call =>
        t.mock.method(fs.promises, call),
      ),
    ]
    t.after(() => {
      t.mock.restoreAll()
      syncBuiltinESMExports()
    })
    syncBuiltinESMExports()
    await cache.sweep(50)
    assert.deepEqual([calls.reduce((sum, { mock }) => sum + mock.callCount(), 0), looks], [0, 2])
  })

  it('continues after a file that can’t be removed, reports it, and retries it', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const files = session()
    const saved = []
    for (const name of ['a', 'stuck', 'c']) saved.push(await files.save(Buffer.from(name), name))
    writeFileSync(join(await files.directory(), 'stray-1'), 'text')
    writeFileSync(join(await files.directory(), 'stuck-too'), 'text')
    writeFileSync(join(await files.directory(), 'stray-2'), 'text')
    await cache.sweep(50)
    pass(100)
    const restore = failing(t, 'unlink', 'stuck')
    await cache.sweep(50)
    assert.deepEqual(filesBelow(files.path), ['app/stuck-too', 'saved/stuck'])
    assert.deepEqual(
      errors.map(error => (error as NodeJS.ErrnoException).code),
      ['EACCES', 'EACCES'],
    )
    assert.deepEqual(cache.stats(), { files: 1, fileBytes: 2 * 4096 })
    assert.equal(files.bytes, 2 * 4096)
    restore()
    await cache.sweep(50)
    assert.deepEqual(filesBelow(files.path), [])
    assert.deepEqual([cache.stats(), files.bytes], [{ files: 0, fileBytes: 0 }, 0])
  })

  it('keeps files whose directory can’t be opened, reports it, and retries them', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const files = session()
    const first = await files.save(Buffer.from('a'), 'a')
    await files.save(Buffer.from('b'), 'b')
    pass(100)
    const { open } = fs
    const refuse = (path: string, flags: number, done: (error: Error | null, descriptor: number) => void) =>
      path.endsWith('saved')
        ? done(Object.assign(new Error('too many'), { code: 'EMFILE' }), -1)
        : open(path, flags, done)
    const { mock } = t.mock.method(fs, 'open', refuse as typeof open)
    syncBuiltinESMExports()
    await cache.sweep(50)
    assert.deepEqual([cache.stats(), files.bytes], [{ files: 2, fileBytes: 2 * 4096 }, 2 * 4096])
    assert.ok(errors.length > 0 && errors.every(error => (error as NodeJS.ErrnoException).code === 'EMFILE'))
    await assert.rejects(files.undoUpload(first), { code: 'EMFILE' })
    assert.deepEqual([cache.stats().files, filesBelow(files.path)], [2, ['saved/a', 'saved/b']])
    mock.restore()
    syncBuiltinESMExports()
    await cache.sweep(50)
    assert.deepEqual([cache.stats(), filesBelow(files.path)], [{ files: 0, fileBytes: 0 }, []])
  })

  it('counts a file that can’t be removed for its own session, and for no other', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const [one, other] = [session(), session()]
    await one.save(Buffer.from('a'), 'stuck')
    await other.save(Buffer.from('bb'), 'b')
    pass(100)
    failing(t, 'unlink', 'stuck')
    await cache.sweep(50)
    assert.deepEqual([cache.stats(), one.bytes, other.bytes], [{ files: 1, fileBytes: 4096 }, 4096, 0])
    assert.deepEqual([filesBelow(one.path), readdirSync(other.path), errors.length], [['saved/stuck'], [], 1])
  })

  it('does not treat a file that is being published as one of the app’s', async t => {
    const { cache, session } = testCache(t, { dedup: 'cache' })
    const files = session()
    await files.directory()
    await session().save(Buffer.from('same'), 'a.txt')
    const { reached, resume } = pausing(t, 'unlink', '.incoming')
    const saved = files.save(Buffer.from('same'), 'a.txt')
    await reached
    const swept = cache.sweep(1e9)
    for (let turns = 0; turns < 50; turns++) await new Promise(resolve => setImmediate(resolve))
    resume()
    await Promise.all([saved, swept])
    assert.deepEqual([cache.stats().fileBytes, files.bytes], [4096, 4096])
  })

  it('never removes the directory of a file that is being published', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const files = session()
    await files.directory()
    for (let round = 0; round < 200; round++) {
      const saves = ['a', 'b', 'c'].map(name => files.save(Buffer.from('same'), name))
      const [sweep] = [cache.sweep(5), pass(10)]
      for (const { path } of await Promise.all(saves)) assert.ok(existsSync(path))
      await sweep
    }
    assert.deepEqual(errors, [])
  })

  it('does not block the event loop, however many files are due', async t => {
    const { cache, session, pass } = testCache(t)
    for (let count = 0; count < 300; count++) await session().save(Buffer.from(`${count}`), 'a')
    pass(100)
    let turns = 0
    let isSwept = false
    const swept = cache.sweep(50).then(() => {
      isSwept = true
    })
    for (; !isSwept; turns++) await new Promise(resolve => setImmediate(resolve))
    await swept
    assert.equal(cache.stats().files, 0)
    assert.ok(turns >= 10, `${turns} turns`)
  })

  it('removes several files concurrently, but leaves threads of the pool for others', async t => {
    const { cache, session, pass } = testCache(t)
    for (let i = 0; i < 10; i++) {
      const files = session()
      for (let count = 0; count < 20; count++) await files.save(Buffer.from(`${count}`), `${count}`)
    }
    pass(100)
    const { unlink } = fs.promises
    let [underWay, most] = [0, 0]
    t.mock.method(fs.promises, 'unlink', async (path: string) => {
      most = Math.max(most, ++underWay)
      try {
        return await unlink(path)
      } finally {
        underWay--
      }
    })
    syncBuiltinESMExports()
    await cache.sweep(50)
    t.mock.restoreAll()
    syncBuiltinESMExports()
    assert.equal(cache.stats().files, 0)
    assert.ok(most > 1 && most <= 64, `${most} at once`)
  })

  it('removes the directory of a session whose files are deleted a few at a time', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const files = session()
    await Promise.all(Array.from({ length: 300 }, (_, i) => files.save(Buffer.from(`${i}`), `${i}`)))
    pass(100)
    await cache.sweep(50)
    assert.deepEqual([readdirSync(files.path), errors, files.bytes], [[], [], 0])
  })

  it('keeps a file that is saved again after it was found to be due', async t => {
    const { cache, session, pass, errors } = testCache(t)
    const files = session()
    for (const name of ['a', 'b', 'c']) await files.save(Buffer.from(name), name)
    pass(100)
    const { reached, resume } = pausing(t, 'rename', '.incoming')
    const ofAnother = session().save(Buffer.from('b'), 'b')
    await reached
    const again = files.save(Buffer.from('b'), 'b')
    // Until it waits for the file of the other session.
    for (let turns = 0; turns < 50; turns++) await new Promise(resolve => setImmediate(resolve))
    const swept = cache.sweep(50)
    resume()
    const [{ path }] = await Promise.all([again, swept, ofAnother])
    assert.deepEqual([filesBelow(files.path), existsSync(path), errors], [['saved/b'], true, []])
    assert.deepEqual([cache.stats(), files.bytes], [{ files: 2, fileBytes: 2 * 4096 }, 4096])
  })

  it('is not delayed by a file that is in use', async t => {
    const { cache, session, pass } = testCache(t)
    const files = session()
    const saved = []
    for (const name of ['a', 'b', 'c']) saved.push(await files.save(Buffer.from(name), name))
    pass(100)
    const { reached, resume } = pausing(t, 'link', 'saved/b')
    const adopted = files.adopt(saved[1]!.sha256, 'b', join(scratch(t), 'b'))
    await reached
    const swept = cache.sweep(50)
    await until(() => filesBelow(files.path).length === 1)
    // A file with the content of one that was swept doesn't wait either.
    const { path } = await files.save(Buffer.from('a'), 'a')
    assert.ok(existsSync(path))
    resume()
    await Promise.all([adopted, swept])
    assert.deepEqual(filesBelow(files.path), ['saved/a'])
  })

  for (const dedup of ['session', 'cache'] as const) {
    it(`deletes many files of many sessions, including ones with the same bytes, with dedup: '${dedup}'`, async t => {
      const { cache, session, pass, errors, folder } = testCache(t, { dedup })
      const sessions = Array.from({ length: 20 }, () => session())
      const save = (text: string, name: string) =>
        Promise.all(sessions.map(files => files.save(Buffer.from(text), name)))
      for (let index = 0; index < 15; index++) await save(`same ${index}`, index < 5 ? 'name' : `${index}`)
      pass(100)
      await save('young', 'young')
      pass(10)
      await cache.sweep(50)
      assert.deepEqual([cache.stats().files, errors], [20, []])
      assert.equal(cache.stats().fileBytes, dedup === 'cache' ? 4096 : 20 * 4096)
      for (const files of sessions)
        assert.deepEqual([readdirSync(files.path), files.bytes], [['saved'], 4096])
      assert.equal(filesBelow(folder).length, dedup === 'cache' ? 21 : 20)
    })
  }

  it('gives a file that is being adopted to one of the two, complete', async t => {
    const { cache, session, pass, errors, folder } = testCache(t)
    const kept = scratch(t)
    const files = session()
    let adopted = 0
    for (let round = 0; round < 40; round++) {
      const { sha256, name } = await files.save(Buffer.from(`${round}`), 'a')
      pass(100)
      const destination = join(kept, `${round}`)
      const work = [() => cache.sweep(50), () => files.adopt(sha256, name, destination)]
      if (round % 2 === 0) work.reverse()
      const results = await Promise.allSettled(work.map(task => task()))
      const failed = results.find(result => result.status === 'rejected')
      if (failed !== undefined) assert.equal(failed.reason.code, 'FILE_UNKNOWN')
      else adopted++
      assert.equal(existsSync(destination), failed === undefined)
    }
    assert.ok(adopted > 0)
    assert.deepEqual([errors, filesBelow(folder), cache.stats()], [[], [], { files: 0, fileBytes: 0 }])
  })
})
