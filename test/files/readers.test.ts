// Files that are deleted while they are being downloaded: their bytes are on the disk until the last download has closed them.

import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { it } from 'node:test'
import { testCache } from '../support/files/cache.ts'
import { unique } from '../support/files/multipart.ts'
import { save, saveSite } from '../support/files/save-site.ts'
import { forEachExpress, until } from '../support/http/express.ts'
import { pipelined } from '../support/http/pipelined.ts'

const SIZE = 5_000_000

forEachExpress((_name, express) => {
  for (const dedup of ['session', 'cache'] as const) {
    it(`a client that reads deleted files slowly can't exceed maxCacheBytes: ${dedup}`, async t => {
      const { gradio, visitor, port } = await saveSite(t, express, {
        options: { maxCacheBytes: 2 * SIZE, dedup },
      })
      const user = visitor()
      const sockets = []
      for (const name of ['deleted', 'of an ended session']) {
        const { url } = await save(user, name, unique(SIZE))
        const socket = await pipelined(t, port, user, [`GET ${url}`])
        sockets.push(socket)
        // The head of the response arrives when the file is open.
        await new Promise(resolve => socket.once('readable', resolve))
      }
      const [session] = gradio.sessions()
      const [file] = (await session?.files()) ?? []
      await session?.deleteFile(file!)
      assert.equal(gradio.stats().fileBytes, 2 * SIZE)
      await session?.end()
      await until(() => gradio.stats().files === 0)
      assert.equal(gradio.stats().fileBytes, 2 * SIZE)
      const other = visitor()
      const refused = await other.fetch('/save/a', { method: 'POST', body: 'a' })
      assert.equal(refused.status, 507)
      for (const socket of sockets) socket.destroy()
      await until(() => gradio.stats().fileBytes === 0)
      await save(other, 'large', unique(2 * SIZE))
    })
  }
})

for (const dedup of ['session', 'cache'] as const) {
  it(`a file that is replaced while it is read counts until then, with dedup: '${dedup}'`, async t => {
    const { cache, session } = testCache(t, { dedup })
    const files = session()
    const { sha256, path } = await files.save(unique(10_000), 'a')
    const found = await files.open(sha256, 'a')
    writeFileSync(`${path}.new`, unique(20_000))
    renameSync(`${path}.new`, path)
    const [replaced] = await files.list()
    assert.deepEqual([replaced?.size, cache.stats().fileBytes], [20_000, 30_000])
    const again = await files.open(replaced!.sha256, 'a')
    await found?.file.close()
    assert.equal(cache.stats().fileBytes, 20_000)
    await files.delete(replaced!.sha256, 'a')
    assert.equal(cache.stats().fileBytes, 20_000)
    await again?.file.close()
    assert.equal(cache.stats().fileBytes, 0)
  })

  it(`a file that is edited while it is read counts once, with dedup: '${dedup}'`, async t => {
    const { cache, session } = testCache(t, { dedup })
    const files = session()
    const { sha256, path } = await files.save(unique(10_000), 'a')
    const found = await files.open(sha256, 'a')
    writeFileSync(path, unique(20_000))
    await files.list()
    assert.equal(cache.stats().fileBytes, 20_000)
    await found?.file.close()
    assert.equal(cache.stats().fileBytes, 20_000)
  })
}

it('bytes that sessions share count until they are deleted in both, and not read in either', async t => {
  const { cache, session } = testCache(t, { dedup: 'cache' })
  const bytes = unique(10_000)
  const [one, two] = [session(), session()]
  const { sha256 } = await one.save(bytes, 'a')
  await two.save(bytes, 'a')
  const found = await one.open(sha256, 'a')
  await one.delete(sha256, 'a')
  await two.delete(sha256, 'a')
  assert.equal(cache.stats().fileBytes, 10_000)
  await found?.file.close()
  assert.equal(cache.stats().fileBytes, 0)
})
