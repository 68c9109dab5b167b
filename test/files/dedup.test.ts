import assert from 'node:assert/strict'
import fs, {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { chargeOf } from '../../lib/files/quota.ts'
import { testCache } from '../support/files/cache.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { failing } from '../support/files/failing-calls.ts'
import { parallelSaves } from '../support/files/parallel-saves.ts'

/** Enough sessions that the number of copies matters. */
const BYTES = Buffer.from('the same bytes'.repeat(1000))
const inode = (path: string) => statSync(path).ino

describe('the same bytes', () => {
  for (const dedup of ['session', 'cache'] as const) {
    it(`are stored once under one name in a session, with dedup: '${dedup}'`, async t => {
      const { cache, session, folder } = testCache(t, { dedup })
      const files = session()
      const saved = await Promise.all([1, 2, 3].map(() => files.save(BYTES, 'a.txt')))
      assert.equal(new Set(saved).size, 1)
      assert.deepEqual(cache.stats(), { files: 1, fileBytes: BYTES.length })
      assert.equal(filesBelow(folder).length, dedup === 'cache' ? 2 : 1)
      await files.save(BYTES, 'b.txt')
      assert.equal(cache.stats().files, 2)
    })
  }

  it('are stored separately for each session by default', async t => {
    const { cache, session } = testCache(t)
    const [a, b] = [await session().save(BYTES, 'a.txt'), await session().save(BYTES, 'a.txt')]
    assert.notEqual(inode(a.path), inode(b.path))
    assert.equal(cache.stats().fileBytes, 2 * BYTES.length)
  })

  it('have a new age when they are saved again', async t => {
    const { cache, session, pass } = testCache(t)
    const files = session()
    const { path } = await files.save(BYTES, 'a.txt')
    pass(50)
    await files.save(BYTES, 'a.txt')
    pass(50)
    await cache.sweep(60)
    assert.ok(existsSync(path))
    pass(10)
    await cache.sweep(60)
    assert.equal(existsSync(path), false)
  })
})

describe("the same bytes with dedup: 'cache'", () => {
  it('are on the disk once for all sessions, and count once', async t => {
    const { cache, session } = testCache(t, { dedup: 'cache' })
    const sessions = [1, 2, 3, 4].map(() => session())
    const saved = await Promise.all(sessions.map(files => files.save(BYTES, 'a.txt')))
    assert.equal(new Set(saved.map(({ path }) => inode(path))).size, 1)
    assert.equal(cache.stats().fileBytes, BYTES.length)
    assert.equal(
      sessions.reduce((sum, { bytes }) => sum + bytes, 0),
      4 * BYTES.length,
    )
  })

  it('stay for a session when the others end, and are deleted with the last', async t => {
    const { cache, folder } = testCache(t, { dedup: 'cache' })
    const [first, second] = await Promise.all(
      ['1', '2'].map(id => cache.of(id, () => {}).save(BYTES, 'a.txt')),
    )
    await cache.end('1')
    assert.equal(existsSync(first!.path), false)
    assert.deepEqual(readFileSync(second!.path), BYTES)
    assert.equal(cache.stats().fileBytes, BYTES.length)
    await cache.end('2')
    assert.deepEqual(filesBelow(folder), [])
    assert.equal(cache.stats().fileBytes, 0)
  })

  it('stay for a session when they are swept in another', async t => {
    const { cache, session, pass, folder } = testCache(t, { dedup: 'cache' })
    await session().save(BYTES, 'a.txt')
    pass(100)
    const young = await session().save(BYTES, 'a.txt')
    await cache.sweep(50)
    assert.deepEqual(readFileSync(young.path), BYTES)
    assert.equal(cache.stats().fileBytes, BYTES.length)
    pass(100)
    await cache.sweep(50)
    assert.deepEqual(filesBelow(folder), [])
  })

  it('are deleted when a sweep and the end of their session coincide', async t => {
    const { cache, pass, folder } = testCache(t, { dedup: 'cache' })
    for (let round = 0; round < 100; round++) {
      for (let i = 0; i < 4; i++) await cache.of('a', () => {}).save(Buffer.from(`file ${i}`), 'a.txt')
      pass(100)
      await Promise.all([cache.sweep(50), cache.end('a')])
      assert.deepEqual(filesBelow(folder), [])
      assert.equal(cache.stats().fileBytes, 0)
    }
  })

  it('are copied when they are adopted, so editing the copy doesn’t affect others', async t => {
    const { session } = testCache(t, { dedup: 'cache' })
    const destination = join(scratch(t), 'kept.txt')
    const files = session()
    const [mine, other] = [await files.save(BYTES, 'a.txt'), await session().save(BYTES, 'a.txt')]
    await files.adopt(mine.sha256, mine.name, destination)
    writeFileSync(destination, 'edited')
    assert.equal(existsSync(mine.path), false)
    assert.deepEqual(readFileSync(other.path), BYTES)
  })

  it('are copied if the file system has no links', async t => {
    const { cache, session, folder } = testCache(t, { dedup: 'cache' })
    await session().save(Buffer.from('before'), 'a.txt')
    for (const code of ['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EXDEV']) {
      withoutLinks(t, code)
      const saved = await Promise.all(['1', '2'].map(id => cache.of(id, () => {}).save(BYTES, 'a.txt')))
      assert.notEqual(inode(saved[0]!.path), inode(saved[1]!.path), code)
      for (const { path } of saved) assert.deepEqual(readFileSync(path), BYTES)
      assert.equal(cache.stats().fileBytes, chargeOf('before'.length) + 2 * BYTES.length)
      t.mock.restoreAll()
      syncBuiltinESMExports()
      await Promise.all(['1', '2'].map(id => cache.end(id)))
      assert.equal(cache.stats().fileBytes, chargeOf('before'.length))
    }
    assert.equal(filesBelow(folder).length, 2)
  })

  it('are copied if there are too many links to them', async t => {
    const { cache, session, folder } = testCache(t, { dedup: 'cache' })
    const first = await session().save(BYTES, 'a.txt')
    const links = join(scratch(t), 'links')
    mkdirSync(links)
    const most = linkUntilFull(first.path, links)
    if (most === undefined) return t.skip('this file system takes any number of links')
    const second = await session().save(BYTES, 'a.txt')
    assert.notEqual(inode(second.path), inode(first.path))
    assert.deepEqual(readFileSync(second.path), BYTES)
    assert.equal(cache.stats().fileBytes, 2 * BYTES.length)
    for (let i = 0; i < most; i++) unlinkSync(join(links, `${i}`))
    await Promise.all([first, second].map(({ path }) => cache.end(dirname(dirname(path)).split('/').pop()!)))
    assert.deepEqual(filesBelow(folder), [])
    assert.equal(cache.stats().fileBytes, 0)
  })

  it('leave nothing if they can’t be moved to their place', async t => {
    const { cache, session, folder } = testCache(t, { dedup: 'cache' })
    const files = session()
    await session().save(BYTES, 'a.txt')
    const other = Buffer.from('other bytes')
    failing(t, 'rename', '.incoming')
    for (const bytes of [BYTES, other]) await assert.rejects(files.save(bytes, 'a.txt'), { code: 'EACCES' })
    assert.deepEqual(cache.stats(), { files: 1, fileBytes: BYTES.length })
    assert.equal(files.bytes, 0)
    assert.equal(filesBelow(folder).length, 2)
  })

  it('are always complete for each session, with 50 concurrent sessions', { timeout: 240_000 }, async t => {
    const report = await parallelSaves(scratch(t), 3)
    assert.ok(report.read > 100 && report.sessions > 50, JSON.stringify(report))
  })
})

/** Makes every link fail until the mocks of the test are restored. */
function withoutLinks(t: TestContext, code: string): void {
  t.mock.method(fs.promises, 'link', async () => {
    throw Object.assign(new Error('no links here'), { code })
  })
  syncBuiltinESMExports()
}

/** The limit of ext4 is 65,000. */
function linkUntilFull(path: string, directory: string): number | undefined {
  for (let i = 0; i < 66_000; i++) {
    try {
      linkSync(path, join(directory, `${i}`))
    } catch {
      return i
    }
  }
  return undefined
}
