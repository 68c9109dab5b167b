// Something deletes the cache directory of a running process, as some systems clean up temporary directories.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { testCache } from '../support/files/cache.ts'
import { filesBelow } from '../support/files/disk.ts'
import { unique, upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress } from '../support/http/express.ts'

for (const dedup of ['session', 'cache'] as const) {
  for (const size of [10, 1_000_000]) {
    it(`a file of ${size} bytes is stored anyway (dedup: ${dedup})`, async t => {
      const { session, cacheDir, folder } = testCache(t, { dedup })
      const files = session()
      await files.save(Buffer.from('before'), 'before')
      rmSync(cacheDir, { recursive: true })
      const bytes = unique(size)
      const saved = await Promise.all(['a', 'b'].map(name => files.save(Buffer.from(bytes), name)))
      for (const { path } of saved) assert.deepEqual(readFileSync(path), Buffer.from(bytes))
      const { path } = await session().save(Buffer.from('of another session'), 'a')
      assert.equal(readFileSync(path, 'utf8'), 'of another session')
      assert.equal(existsSync(join(folder, 'owner.json')), true)
    })
  }
}

it('directory() is created again', async t => {
  const { session, cacheDir } = testCache(t)
  const files = session()
  await files.directory()
  rmSync(cacheDir, { recursive: true })
  writeFileSync(join(await files.directory(), 'a.txt'), 'written by the app')
  assert.equal(
    filesBelow(cacheDir).some(path => path.endsWith('a.txt')),
    true,
  )
})

it('anything else at that path is an error, and is not removed', async t => {
  const { session, cacheDir } = testCache(t)
  const files = session()
  await files.save(Buffer.from('before'), 'before')
  rmSync(cacheDir, { recursive: true })
  writeFileSync(cacheDir, 'a file in its place')
  await assert.rejects(files.save(Buffer.from('after'), 'after'))
  assert.equal(readFileSync(cacheDir, 'utf8'), 'a file in its place')
  rmSync(cacheDir)
  mkdirSync(cacheDir)
  assert.equal(readFileSync((await files.save(Buffer.from('after'), 'after')).path, 'utf8'), 'after')
})

forEachExpress((_name, express) => {
  it('the next upload is stored, and served', async t => {
    const { newUser, cacheDir } = await uploadSite(t, express)
    const { user } = await newUser()
    await upload(user, [{ name: 'before.txt', bytes: 'before' }])
    rmSync(cacheDir, { recursive: true })
    const { status, body } = await upload<Express.Multer.File[]>(user, [
      { name: 'after.txt', bytes: 'after' },
    ])
    assert.equal(status, 200)
    assert.equal(await (await user.fetch(body[0]?.url ?? '')).text(), 'after')
  })
})
