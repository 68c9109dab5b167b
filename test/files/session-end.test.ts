import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { snapshot, testCache } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { failing, pausing } from '../support/files/failing-calls.ts'
import { until } from '../support/http/express.ts'
import { harness } from '../support/sessions/harness.ts'

describe('the files of a session that ends', () => {
  it('exist for its hooks and callbacks, and are deleted after the last of them', async t => {
    const cacheDir = scratch(t)
    const { gradio, user } = harness(t, { cacheDir })
    const read: string[] = []
    const look = async (where: string, directory: string) => {
      await new Promise(resolve => setImmediate(resolve))
      const [sha256] = readdirSync(directory)
      read.push(`${where}: ${await readFile(join(directory, sha256!, 'a.txt'), 'utf8')}`)
    }
    gradio.unload(({ session }) => look('unload', session.directory))
    gradio.ended(({ session }) => look('ended', session.directory))
    await user().request(async state => {
      state.set('value', 1, { deleteCallback: (_value, { session }) => look('callback', session.directory) })
      await state.saveFile('text', { name: 'a.txt' })
    })
    const { id } = await user().session()
    await gradio.endSession(id)
    assert.deepEqual(read, ['unload: text', 'callback: text', 'ended: text'])
    assert.deepEqual(filesBelow(cacheDir), [])
    assert.deepEqual([gradio.stats().files, gradio.stats().fileBytes], [0, 0])
  })

  it('are gone when no session is ending any more', async t => {
    const { gradio, user, clock } = harness(t, { cacheDir: scratch(t), gracePeriod: 60 })
    const { path } = await user().request(state => state.saveFile('text'))
    await clock.advance(59)
    assert.ok(existsSync(path))
    const ended = clock.advance(1)
    while (gradio.stats().sessions > 0) await new Promise(setImmediate)
    while (gradio.stats().ending > 0) await new Promise(setImmediate)
    assert.ok(!existsSync(path))
    await ended
  })

  it('are deleted when the grace period is over on the clock', async t => {
    const { gradio, user, clock } = harness(t, { cacheDir: scratch(t), gracePeriod: 60 })
    const { path } = await user().request(state => state.saveFile('text'))
    await clock.advance(59)
    assert.ok(existsSync(path))
    await clock.advance(10)
    await until(() => !existsSync(path) && gradio.stats().fileBytes === 0)
  })

  it('are deleted without those of another session', async t => {
    const { cache, session } = testCache(t)
    const kept = session()
    await kept.save(Buffer.from('same'), 'a.txt')
    const before = snapshot(kept.path)
    await cache.of('other', () => {}).save(Buffer.from('same'), 'a.txt')
    await cache.end('other')
    assert.equal(snapshot(kept.path), before)
  })

  it('are deleted with an upload that is being written, and nothing is stored afterwards', async t => {
    const { cache, folder } = testCache(t)
    const files = cache.of('a', () => {})
    await files.save(Buffer.from('text'), 'a.txt')
    const source = new PassThrough()
    const saved = assert.rejects(files.save(source, 'b.bin'), { code: 'SESSION_ENDED' })
    source.write(Buffer.alloc(1_000_000))
    await until(() => readdirSync(join(folder, '.incoming')).length > 0)
    await cache.end('a')
    await saved
    assert.deepEqual(filesBelow(folder), [])
    assert.deepEqual(cache.stats(), { files: 0, fileBytes: 0 })
    await assert.rejects(files.save(Buffer.from('text'), 'c.txt'), { code: 'SESSION_ENDED' })
    await assert.rejects(files.directory(), { code: 'SESSION_ENDED' })
  })

  it('do not wait for a source that stalls, even while the directory is being created', async t => {
    const { cache } = testCache(t)
    const files = cache.of('a', () => {})
    const saved = assert.rejects(files.save(new PassThrough(), 'a.bin'), { code: 'SESSION_ENDED' })
    files.abort()
    await cache.end('a')
    await saved
  })

  for (const dedup of ['session', 'cache'] as const) {
    it(`are deleted even while files are published, swept or written, with dedup: '${dedup}'`, async t => {
      const { cache, folder, errors, pass } = testCache(t, { dedup })
      for (let round = 0; round < 60; round++) {
        const files = cache.of('a', () => {})
        await files.directory()
        const saves = Array.from({ length: 6 }, (_, i) =>
          files.save(Buffer.from(`file ${i % 3}`), `${i % 2}`),
        )
        const work = Promise.allSettled([...saves, cache.sweep(0)])
        pass(1)
        for (let turns = round % 12; turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
        await cache.end('a')
        await work
        assert.deepEqual(filesBelow(folder), [])
        assert.deepEqual(cache.stats(), { files: 0, fileBytes: 0 })
      }
      assert.deepEqual(errors, [])
    })
  }

  for (const dedup of ['session', 'cache'] as const) {
    it(`are not removed by a sweep that has found them before, with dedup: '${dedup}'`, async t => {
      const { cache, folder, pass } = testCache(t, { dedup })
      for (const name of ['one', 'two']) await cache.of('a', () => {}).save(Buffer.from(name), name)
      pass(100)
      const [first, going] = [pausing(t, 'unlink', 'one'), pausing(t, 'readdir', '.trash')]
      const swept = cache.sweep(50)
      await first.reached
      const ended = cache.end('a')
      first.resume()
      await going.reached
      await swept
      going.resume()
      await ended
      assert.deepEqual(filesBelow(folder), [])
      assert.deepEqual(cache.stats(), { files: 0, fileBytes: 0 })
    })
  }

  it('no longer count towards the cache, including those that the app wrote', async t => {
    const { cache } = testCache(t)
    const files = cache.of('a', () => {})
    writeFileSync(join(await files.directory(), 'stray'), 'text')
    await cache.sweep(1e9)
    assert.equal(cache.stats().fileBytes, 4096)
    writeFileSync(join(files.path, 'late'), 'text')
    const { reached, resume } = pausing(t, 'lstat', 'late')
    const swept = cache.sweep(1e9)
    await reached
    await cache.end('a')
    resume()
    await swept
    assert.equal(cache.stats().fileBytes, 0)
  })

  it('may have been removed by the app', async t => {
    const { cache, errors } = testCache(t)
    const files = cache.of('a', () => {})
    await files.save(Buffer.from('text'), 'a.txt')
    rmSync(files.path, { recursive: true })
    await cache.end('a')
    assert.deepEqual([cache.stats(), errors], [{ files: 0, fileBytes: 0 }, []])
  })
})

describe('a failure of the disk', () => {
  it('at the end of a session is emitted to the listeners, and ends neither the process nor the close', async t => {
    const { gradio, user, errors } = harness(t, { cacheDir: scratch(t) })
    const { path } = await user().request(state => state.saveFile('text'))
    const restore = failing(t, 'rename', 'gradio-state-test')
    const { id } = await user().session()
    await gradio.endSession(id)
    assert.deepEqual(
      errors.splice(0).map(({ context }) => context),
      [{ source: 'files', session: id }],
    )
    assert.ok(existsSync(path))
    await gradio.close()
    assert.deepEqual(
      errors.splice(0).map(({ context }) => context.source),
      ['files'],
    )
    restore()
  })

  it('at the start is reported, once for each directory', async t => {
    const { errors, cache } = testCache(t, { cacheDir: unreadable(t) })
    await cache.close()
    assert.deepEqual(
      errors.map(error => (error as NodeJS.ErrnoException).code),
      ['EACCES'],
    )
  })

  it('of an upload is reported to the client, and leaves nothing that counts', async t => {
    const { cache, session, folder } = testCache(t)
    const files = session()
    await files.save(Buffer.from('text'), 'a.txt')
    for (const [call, part] of [
      ['mkdir', 'gradio-state-test'],
      ['rename', '.incoming'],
    ] as const) {
      const restore = failing(t, call, part)
      await assert.rejects(files.save(Buffer.from('more'), 'a.txt'), { code: 'EACCES' })
      restore()
      assert.deepEqual([cache.stats(), files.bytes], [{ files: 1, fileBytes: 4096 }, 4096])
    }
    assert.equal(filesBelow(folder).length, 1)
    assert.equal(readFileSync((await files.save(Buffer.from('more'), 'b.txt')).path, 'utf8'), 'more')
  })
})

function unreadable(t: Parameters<typeof scratch>[0]): string {
  const cacheDir = scratch(t)
  failing(t, 'readdir', cacheDir)
  return cacheDir
}
