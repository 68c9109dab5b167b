// Uploads that the app's handler removes, moves or edits, as seen by their users.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { copyFile, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { scratch } from '../support/files/disk.ts'
import { upload } from '../support/files/multipart.ts'
import { DIGITS, ifNoneMatch, save, saveSite } from '../support/files/save-site.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress } from '../support/http/express.ts'

type Uploaded = Express.Multer.File[]

const tagOf = (text: string) => `"${createHash('sha256').update(text).digest('hex')}"`
const LETTERS = 'abcdefghij'

forEachExpress((_name, express) => {
  const ends: Record<string, (path: string, elsewhere: string) => Promise<void>> = {
    removes: path => unlink(path),
    moves: (path, elsewhere) => rename(path, elsewhere),
    'copies and removes': async (path, elsewhere) => {
      await copyFile(path, elsewhere)
      await unlink(path)
    },
    'gives an extension to': path => rename(path, `${path}-${Math.random()}.png`),
    edits: path => writeFile(path, LETTERS),
  }
  for (const [how, end] of Object.entries(ends)) {
    for (const method of ['single', 'array'] as const) {
      it(`a handler that ${how} its upload can receive the same upload again and again (${method})`, async t => {
        const keep = scratch(t)
        const { newUser, failures } = await uploadSite(t, express, {}, (app, gradio) => {
          const parse = method === 'single' ? gradio.upload.single('f') : gradio.upload.array('f')
          app.post('/end', parse, async (req, res, next) => {
            try {
              const files = req.file === undefined ? (req.files as Uploaded) : [req.file]
              const contents = await Promise.all(files.map(({ path }) => readFile(path, 'utf8')))
              for (const { path } of files) await end(path, join(keep, `${Math.random()}`))
              res.json(contents)
            } catch (error) {
              next(error)
            }
          })
        })
        const { user } = await newUser()
        const files = Array.from({ length: method === 'single' ? 1 : 3 }, (_, i) => ({
          name: 'same.txt',
          bytes: `${i}${DIGITS}`,
          field: 'f',
        }))
        for (let round = 0; round < 3; round++) {
          const { body } = await upload(user, files, '/end')
          assert.deepEqual([body, failures], [files.map(({ bytes }) => bytes), []])
        }
      })
    }
  }

  it("an edited file is served in its current state, and not from the browser's cache", async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, path, sha256 } = await save(user)
    assert.equal((await user.fetch(url, { headers: ifNoneMatch(`"${sha256}"`) })).status, 304)
    writeFileSync(path, LETTERS)
    for (const headers of [{}, ifNoneMatch(`"${sha256}"`)] as Record<string, string>[]) {
      const answer = await user.fetch(url, { headers })
      assert.deepEqual([answer.status, await answer.text()], [200, LETTERS])
      assert.equal(answer.headers.get('etag'), tagOf(LETTERS))
    }
    const current = await user.fetch(url, { headers: ifNoneMatch(tagOf(LETTERS)) })
    assert.equal(current.status, 304)
    const range = { range: 'bytes=2-5' }
    const stale = await user.fetch(url, { headers: { ...range, 'if-range': `"${sha256}"` } })
    assert.deepEqual([stale.status, await stale.text()], [200, LETTERS])
    const part = await user.fetch(url, { headers: { ...range, 'if-range': tagOf(LETTERS) } })
    assert.deepEqual([part.status, await part.text()], [206, 'cdef'])
    const failed = await user.fetch(url, { headers: { 'if-match': `"${sha256}"` } })
    assert.equal(failed.status, 412)
    writeFileSync(path, `${LETTERS} and more`)
    assert.equal(await (await user.fetch(url)).text(), `${LETTERS} and more`)
  })

  it('the original has its own URL again after it was saved again, and the edited file another', async t => {
    const { gradio, visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, path } = await save(user)
    writeFileSync(path, LETTERS)
    const again = await save(user)
    assert.deepEqual([again.url, readFileSync(again.path, 'utf8')], [url, DIGITS])
    const texts = []
    for (const file of (await gradio.sessions()[0]?.files()) ?? []) {
      const answer = await user.fetch(file.url)
      const text = await answer.text()
      assert.deepEqual([answer.headers.get('etag'), readFileSync(file.path, 'utf8')], [tagOf(text), text])
      texts.push(text)
    }
    assert.deepEqual(texts.sort(), [DIGITS, LETTERS])
  })

  it('a link in place of a file finds nothing', async t => {
    const { cacheDir, visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, path } = await save(user)
    const secret = join(cacheDir, 'secret')
    writeFileSync(secret, DIGITS)
    unlinkSync(path)
    symlinkSync(secret, path)
    assert.equal((await user.fetch(url)).status, 404)
  })
})
