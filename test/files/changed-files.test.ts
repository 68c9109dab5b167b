// Files that the app removes, moves, replaces or edits after it has received them.

import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import type { CacheConfig } from '../../lib/files/cache.ts'
import type { SessionFiles } from '../../lib/files/session-files.ts'
import type { StoredFile } from '../../lib/files/stored-file.ts'
import { testCache } from '../support/files/cache.ts'
import { filesBelow, openBelow, scratch } from '../support/files/disk.ts'
import { unique } from '../support/files/multipart.ts'

const BYTES = Buffer.from('the bytes')
/** The same number of bytes. */
const EDITED = Buffer.from('THE BYTES')

/** How an app gets rid of a file. */
const REMOVALS: Record<string, (path: string, t: TestContext) => void> = {
  unlinked: path => unlinkSync(path),
  'moved elsewhere': (path, t) => renameSync(path, join(scratch(t), 'moved')),
  'renamed in its directory': path => renameSync(path, `${path}.${Math.random()}`),
  'replaced by a link': (path, t) => {
    const target = join(scratch(t), 'target')
    writeFileSync(target, BYTES)
    unlinkSync(path)
    symlinkSync(target, path)
  },
  'replaced by a directory': path => {
    unlinkSync(path)
    mkdirSync(path)
  },
  'removed with its directory': path => rmSync(dirname(path), { recursive: true }),
  'removed with the directory of the session': path => rmSync(dirname(dirname(path)), { recursive: true }),
}

/** How an app changes a file without changing its size. */
const EDITS: Record<string, (path: string) => void> = {
  'written to': path => writeFileSync(path, EDITED),
  'written to in part': path => writeFileSync(path, EDITED, { flag: 'r+' }),
  replaced: path => {
    writeFileSync(`${path}.new`, EDITED)
    renameSync(`${path}.new`, path)
  },
}

const isUnknown = { code: 'FILE_UNKNOWN' }

async function contentOf(files: SessionFiles, { sha256, name }: Pick<StoredFile, 'sha256' | 'name'>) {
  const found = await files.open(sha256, name)
  if (found === undefined) return undefined
  found.record.pins--
  const content = await found.file.handle.readFile('utf8')
  await found.file.close()
  return [content, found.file.sha256 === found.record.sha256]
}

for (const dedup of ['session', 'cache'] as const) {
  describe(`with dedup: '${dedup}'`, () => {
    for (const [how, remove] of Object.entries(REMOVALS)) {
      it(`a file that was ${how} is stored again by the next upload of the same bytes`, async t => {
        const { cache, cacheDir, session, errors } = testCache(t, { dedup })
        const files = session()
        for (let round = 0; round < 3; round++) {
          const { path, size } = await files.save(BYTES, 'a.txt')
          assert.deepEqual([readFileSync(path), size], [BYTES, BYTES.length])
          remove(path, t)
        }
        await cache.close()
        assert.deepEqual([errors, openBelow(cacheDir)], [[], []])
      })

      it(`a file that was ${how} is not listed, counted, pinned, adopted or served`, async t => {
        const { cache, session, folder } = testCache(t, { dedup })
        const files = session()
        const kept = await files.save(BYTES, 'kept')
        for (const use of [
          async () => assert.deepEqual(await files.list(), existsSync(kept.path) ? [kept] : []),
          () => assert.rejects(files.pin(kept.sha256, 'a.txt'), isUnknown),
          () => assert.rejects(files.adopt(kept.sha256, 'a.txt', join(scratch(t), 'out')), isUnknown),
          async () => assert.equal(await files.open(kept.sha256, 'a.txt'), undefined),
          async () => assert.equal(await files.find(kept.sha256, 'a.txt'), undefined),
          async () => assert.equal(await files.delete(kept.sha256, 'a.txt'), how === 'replaced by a link'),
        ]) {
          const { path } = await files.save(BYTES, 'a.txt')
          remove(path, t)
          await use()
          const isThere = existsSync(kept.path)
          await files.list()
          assert.deepEqual(
            [cache.stats().files, files.bytes, cache.stats().fileBytes],
            isThere ? [1, 4096, 4096] : [0, 0, 0],
          )
          if (!isThere) Object.assign(kept, await files.save(BYTES, 'kept'))
        }
        await cache.end(dirname(dirname(kept.path)).split('/').pop()!)
        assert.deepEqual([filesBelow(folder), cache.stats()], [[], { files: 0, fileBytes: 0 }])
      })

      it(`a file that was ${how} is swept without an error`, async t => {
        const { cache, session, pass, errors } = testCache(t, { dedup })
        const files = session()
        const { path } = await files.save(BYTES, 'a.txt')
        remove(path, t)
        pass(100)
        await cache.sweep(50)
        pass(100)
        await cache.sweep(50)
        assert.deepEqual([errors, cache.stats(), files.bytes], [[], { files: 0, fileBytes: 0 }, 0])
        assert.deepEqual(filesBelow(files.path), [])
      })
    }

    for (const [how, edit] of Object.entries(EDITS)) {
      it(`a file that was ${how} is not reused for the old bytes, whatever its mtime`, async t => {
        const { cache, session, folder } = testCache(t, { dedup })
        const files = session()
        for (let round = 0; round < 20; round++) {
          const name = `${round}`
          const { path, sha256 } = await files.save(BYTES, name)
          edit(path)
          const again = await files.save(BYTES, name)
          assert.deepEqual([again.sha256, readFileSync(again.path)], [sha256, BYTES])
          assert.deepEqual(readFileSync(path), EDITED)
          const other = await session().save(BYTES, name)
          assert.deepEqual(readFileSync(other.path), BYTES)
          assert.equal((await files.save(EDITED, name)).path, path)
          assert.deepEqual(await contentOf(files, again), [BYTES.toString(), true])
        }
        assert.equal((await files.list()).length, 40)
        assert.equal(cache.stats().fileBytes >= 40 * 4096 || dedup === 'cache', true)
        await cache.close()
        assert.deepEqual([filesBelow(folder), cache.stats().fileBytes], [[], 0])
      })

      it(`a file that was ${how} is listed and read in its current state, and found by its old hash`, async t => {
        const { cache, session } = testCache(t, { dedup })
        const files = session()
        const { path, sha256, name } = await files.save(BYTES, 'a.txt')
        edit(path)
        assert.deepEqual(await contentOf(files, { sha256, name }), [EDITED.toString(), true])
        const [file] = await files.list()
        assert.notEqual(file?.sha256, sha256)
        assert.equal(await files.find(file!.sha256, name), file)
        assert.equal(await files.find(sha256, name), file)
        truncateSync(path, 3)
        const [shorter] = await files.list()
        assert.deepEqual([shorter?.size, shorter?.path, cache.stats().files], [3, path, 1])
        const out = join(scratch(t), 'out')
        await files.adopt(sha256, name, out)
        assert.deepEqual(readFileSync(out, 'utf8'), 'THE')
        assert.deepEqual([existsSync(path), cache.stats()], [false, { files: 0, fileBytes: 0 }])
      })
    }

    it('a file that grew or shrank counts with its current size', async t => {
      const { cache, session } = testCache(t, { dedup })
      const files = session()
      const { path, sha256 } = await files.save(unique(10_000), 'a')
      writeFileSync(path, unique(50_000))
      await files.list()
      assert.deepEqual([files.bytes, cache.stats().fileBytes], [50_000, 50_000])
      truncateSync(path, 5_000)
      await files.find(sha256, 'a')
      assert.deepEqual([files.bytes, cache.stats().fileBytes], [5_000, 5_000])
      await files.delete(sha256, 'a')
      assert.deepEqual([files.bytes, cache.stats().fileBytes, existsSync(path)], [0, 0, false])
    })

    it('a file that was only touched is still the same', async t => {
      const { cache, session } = testCache(t, { dedup })
      const files = session()
      const { path, sha256 } = await files.save(BYTES, 'a')
      utimesSync(path, new Date(), new Date(1e9))
      assert.equal((await files.save(BYTES, 'a')).path, path)
      assert.deepEqual(
        (await files.list()).map(file => file.sha256),
        [sha256],
      )
      assert.equal(cache.stats().fileBytes, 4096)
    })

    const full: [string, Partial<CacheConfig>][] = [
      ['maxSessionBytes', { maxSessionBytes: 1_000_000 }],
      ['maxCacheBytes', { maxCacheBytes: 1_000_000 }],
      ['maxSessionFiles', { maxSessionFiles: 4 }],
    ]
    for (const [what, limits] of full) {
      it(`what the app removes makes room at once (${what}), even during an upload`, async t => {
        const { cache, session, cacheDir } = testCache(t, { dedup, ...limits })
        const files = session()
        const code = what === 'maxCacheBytes' ? 'CACHE_FULL' : 'SESSION_FULL'
        const save = (i: number) => files.save(unique(250_000), `${i}`)
        let saved = await Promise.all([0, 1, 2, 3].map(save))
        for (let round = 0; round < 3; round++) {
          await assert.rejects(save(4), { code })
          for (const { path } of saved) unlinkSync(path)
          saved = await Promise.all([0, 1, 2, 3].map(save))
        }
        for (const { path } of saved.slice(1)) unlinkSync(path)
        await files.list()
        const source = new PassThrough()
        const saving = files.save(source, 'large')
        source.write(unique(700_000))
        unlinkSync(saved[0]!.path)
        source.end(unique(300_000))
        const { size, path } = await saving
        await files.list()
        assert.deepEqual([size, statSync(path).size, cache.stats().files], [1_000_000, 1_000_000, 1])
        await cache.close()
        assert.deepEqual([filesBelow(cacheDir), openBelow(cacheDir)], [[], []])
      })
    }
  })
}

it('files of its own that the app removes make room at once', async t => {
  const { session, cache } = testCache(t, { maxSessionBytes: 1_000_000 })
  const files = session()
  const own = join(await files.directory(), 'own')
  writeFileSync(own, unique(900_000))
  await cache.sweep(1e9)
  await assert.rejects(files.save(unique(200_000), 'a'), { code: 'SESSION_FULL' })
  unlinkSync(own)
  assert.ok(await files.save(unique(200_000), 'a'))
})

it("a full cache is compared with the disk once for all waiting uploads, and a session that fails doesn't prevent it", async t => {
  const { session, cache } = testCache(t, { maxCacheBytes: 10 * 4096 })
  const sessions = Array.from({ length: 10 }, () => session())
  const saved = await Promise.all(sessions.map(files => files.save(BYTES, 'a')))
  for (const { path } of saved) unlinkSync(path)
  await Promise.all(sessions.map(files => files.save(EDITED, 'b')))
  assert.deepEqual(cache.stats(), { files: 10, fileBytes: 10 * 4096 })
})

it('an upload that was aborted while it waited for room leaves nothing', async t => {
  const { session, cache, cacheDir } = testCache(t, { maxSessionBytes: 100_000 })
  const files = session()
  const saved = await files.save(unique(90_000), 'a')
  const source = new PassThrough()
  const saving = assert.rejects(files.save(source, 'b'), { code: 'SESSION_ENDED' })
  source.write(unique(8_000))
  await new Promise(resolve => setImmediate(resolve))
  unlinkSync(saved.path)
  source.write(unique(50_000))
  files.abort()
  await saving
  await cache.close()
  assert.deepEqual([filesBelow(cacheDir), cache.stats()], [[], { files: 0, fileBytes: 0 }])
})

it('a file that the app writes to continuously is served without an ETag', async t => {
  const { session } = testCache(t)
  const files = session()
  const { path, sha256, name } = await files.save(BYTES, 'a')
  const found = await (async () => {
    let turns = 0
    let isOver = false
    const write = () => {
      writeFileSync(path, `turn ${turns++}`)
      if (!isOver) setImmediate(write)
    }
    write()
    const found = await files.open(sha256, name)
    isOver = true
    return found
  })()
  assert.ok(found !== undefined)
  await found.file.close()
  found.record.pins--
  // Either it was read between two writes, or there is no hash.
  assert.ok(found.file.sha256 === undefined || found.file.sha256 !== sha256)
})

it('a saved file has an mtime that no later change can have, even with coarse timestamps', async t => {
  const { path } = await testCache(t).session().save(BYTES, 'a')
  const { mtimeMs } = statSync(path)
  assert.deepEqual([mtimeMs % 1000, mtimeMs <= Date.now() - 2000], [0, true])
})
