import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { assertNothingLeft, smallDisk } from '../support/files/disk.ts'
import { type Failure, unique, upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress } from '../support/http/express.ts'

const DISK = 2 * 1024 * 1024
const file = (size: number) => ({ name: 'file', bytes: unique(size) })

forEachExpress((_name, express) => {
  it('on a full disk an upload fails with 507 and leaves nothing, and works again when there is room', async t => {
    const cacheDir = smallDisk(t, DISK)
    if (cacheDir === undefined) return t.skip('needs the right to mount a disk')
    const { newUser, gradio, visitor } = await uploadSite(t, express, { cacheDir })
    const { user, id } = await newUser()
    for (let i = 0; i < 3; i++) {
      const { status, body } = await upload<Failure>(user, [file(300_000), file(DISK)])
      assert.deepEqual([status, body.code, body.name], [507, 'DISK_FULL', 'GradioStateError'])
      assertNothingLeft(gradio, cacheDir)
    }
    assert.equal((await upload(user, [file(1_500_000)])).status, 200)
    assert.equal((await upload(visitor(), [file(1_000_000)])).status, 507)
    await gradio.endSession(id)
    assertNothingLeft(gradio, cacheDir)
    const other = await newUser()
    assert.equal((await upload(other.user, [file(1_000_000)])).status, 200)
  })

  it('a disk that is full before the first upload has no lasting effect', async t => {
    const cacheDir = smallDisk(t, DISK)
    if (cacheDir === undefined) return t.skip('needs the right to mount a disk')
    const ballast = join(cacheDir, 'ballast')
    assert.throws(() => writeFileSync(ballast, unique(DISK + 1)), { code: 'ENOSPC' })
    const { newUser, gradio } = await uploadSite(t, express, { cacheDir })
    const { user } = await newUser()
    for (let i = 0; i < 2; i++) {
      const { status, body } = await upload<Failure>(user, [file(1000)])
      assert.deepEqual([status, body.code, gradio.stats().fileBytes], [507, 'DISK_FULL', 0])
    }
    rmSync(ballast)
    assert.equal((await upload(user, [file(1000)])).status, 200)
  })
})
