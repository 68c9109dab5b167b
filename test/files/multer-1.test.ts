// multer 1 doesn't detect an aborted request. The storage engine removes the files that it leaves.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { it, type TestContext } from 'node:test'
import type multer from 'multer'
import { assertNothingLeft, filesBelow } from '../support/files/disk.ts'
import { partHead, slowUpload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { type ExpressModule, forEachExpress, idle, until } from '../support/http/express.ts'

/** It has no types; those of multer 2 describe the methods that are used here. */
const multer1: typeof multer = createRequire(import.meta.url)('multer1')

const sites = (t: TestContext, express: ExpressModule) =>
  uploadSite(t, express, {}, (app, gradio) => {
    const upload = multer1({ storage: gradio.storage })
    app.post('/old', upload.array('files'), (req, res) => res.json(req.files))
  })

forEachExpress((_name, express) => {
  it('an upload by multer 1 is stored like one by multer 2', async t => {
    const { newUser, gradio } = await sites(t, express)
    const { user, id } = await newUser()
    const form = new FormData()
    for (const name of ['a.txt', 'b.txt']) form.append('files', new Blob([name]), name)
    const response = await user.fetch('/old', { method: 'POST', body: form })
    const files = (await response.json()) as Express.Multer.File[]
    assert.deepEqual(
      files.map(({ filename, size, sha256 }) => [filename, size, sha256.length]),
      [
        ['a.txt', 5, 64],
        ['b.txt', 5, 64],
      ],
    )
    await idle(gradio)
    assert.equal(gradio.stats().files, 2)
    await gradio.endSession(id)
  })

  const whole = `${partHead({ name: 'whole' })}whole`
  const half = partHead({ name: 'half' }) + 'x'.repeat(200_000)
  const cuts: Record<string, { sent: string; stored: number; counted: number }> = {
    'in its first file': { sent: half, stored: 0, counted: 200_000 },
    'in its second file': { sent: whole + half, stored: 1, counted: 204_096 },
    'between files': { sent: whole + half.slice(0, 40), stored: 1, counted: 4096 },
  }
  for (const [where, { sent, stored, counted }] of Object.entries(cuts)) {
    it(`an upload by multer 1 that is aborted ${where} leaves nothing`, async t => {
      const { newUser, gradio, cacheDir, port } = await sites(t, express)
      const { user, id } = await newUser()
      const slow = await slowUpload(t, port, user, '/old')
      await slow.send(sent)
      await until(() => gradio.stats().files === stored && gradio.stats().fileBytes === counted)
      slow.socket.destroy()
      await until(() => filesBelow(cacheDir).length === 0, 'that the files are deleted')
      await until(() => gradio.stats().fileBytes === 0)
      await gradio.endSession(id)
      assertNothingLeft(gradio, cacheDir)
    })
  }

  it('the files of a request that fails in multer 1 are removed once', async t => {
    const { newUser, gradio, cacheDir, failures } = await sites(t, express)
    const { user, id } = await newUser()
    const form = new FormData()
    form.append('files', new Blob(['kept by nobody']), 'a.txt')
    form.append('unexpected', new Blob(['b']), 'b.txt')
    assert.equal((await user.fetch('/old', { method: 'POST', body: form })).status, 500)
    assert.equal(failures.length, 1)
    await until(() => filesBelow(cacheDir).length === 0)
    await gradio.endSession(id)
    assertNothingLeft(gradio, cacheDir)
  })
})
