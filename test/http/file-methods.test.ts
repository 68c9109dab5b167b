// file(), deleteFile(), sendFile() and filesOf().

import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { it } from 'node:test'
import multer from 'multer'
import type { CachedFile, UploadedFile } from '../../lib/index.ts'
import { filesBelow, openBelow } from '../support/files/disk.ts'
import { type FormFile, upload } from '../support/files/multipart.ts'
import { DIGITS, ifNoneMatch, save, saveSite } from '../support/files/save-site.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, until } from '../support/http/express.ts'

const UNKNOWN = { sha256: '0'.repeat(64), name: 'digits.txt' }

forEachExpress((_name, express) => {
  it('file() finds a file of the session, and nothing else', async t => {
    const { gradio, visitor } = await saveSite(t, express)
    const saved = await save(visitor())
    await save(visitor(), 'of another.txt', 'other')
    const [session, other] = gradio.sessions()
    assert.deepEqual(await session?.file(saved), saved)
    assert.deepEqual(await session?.file({ sha256: saved.sha256, name: saved.name }), saved)
    assert.equal(await session?.file({ ...saved, name: 'other' }), undefined)
    assert.equal(await session?.file(UNKNOWN), undefined)
    assert.equal(await other?.file(saved), undefined)
  })

  it('file() finds an edited file by its old hash and by its new one, until it is removed', async t => {
    const { gradio, visitor } = await saveSite(t, express)
    const saved = await save(visitor())
    const [session] = gradio.sessions()
    writeFileSync(saved.path, 'edited, and longer')
    const edited = await session?.file(saved)
    assert.deepEqual([edited?.size, edited?.path], [18, saved.path])
    assert.notEqual(edited?.url, saved.url)
    assert.deepEqual(await session?.file(edited!), edited)
    await session?.deleteFile(edited!)
    for (const file of [saved, edited!]) assert.equal(await session?.file(file), undefined)
  })

  it('deleteFile() deletes one file, and makes room', async t => {
    const { gradio, visitor, cacheDir } = await saveSite(t, express, { options: { maxSessionFiles: 2 } })
    const user = visitor()
    const [a, b] = [await save(user, 'a'), await save(user, 'b')]
    const [session] = gradio.sessions()
    const pin = await session?.pin(a)
    assert.equal(await session?.deleteFile(UNKNOWN), false)
    assert.equal(await session?.deleteFile(a), true)
    assert.deepEqual([existsSync(a.path), existsSync(b.path)], [false, true])
    assert.equal(await session?.deleteFile(a), false)
    assert.equal((await user.fetch(a.url)).status, 404)
    pin?.release()
    assert.deepEqual(await session?.files(), [b])
    const again = await save(user, 'a')
    assert.equal(await session?.deleteFile(again), true)
    assert.equal(await session?.deleteFile(b), true)
    assert.deepEqual([filesBelow(cacheDir), gradio.stats().files, gradio.stats().fileBytes], [[], 0, 0])
  })

  it('methods that only read start no session', async t => {
    const { gradio, visitor } = await uploadSite(t, express, {}, app => {
      app.get('/look', async (req, res, next) => {
        const { gradioState: state } = req
        const found = [await state.files(), await state.file(UNKNOWN), await state.deleteFile(UNKNOWN)]
        await assert.rejects(state.sendFile(UNKNOWN, res), { code: 'FILE_UNKNOWN', status: 404 })
        assert.equal(res.headersSent, false)
        assert.deepEqual(found, [[], undefined, false])
        state.sendFile(UNKNOWN, res).catch(next)
      })
    })
    assert.equal((await visitor().fetch('/look')).status, 404)
    assert.equal(gradio.stats().sessions, 0)
  })

  async function sendSite(t: Parameters<typeof uploadSite>[0]) {
    const over: string[] = []
    const site = await uploadSite(t, express, {}, (app, gradio) => {
      app.get('/mine/:sha256/:name', (req, res, next) => {
        const { sha256, name } = req.params as { sha256: string; name: string }
        req.gradioState.sendFile({ sha256, name }, res).then(() => over.push(name), next)
      })
      app.get('/of/:id/:sha256/:name', (req, res, next) => {
        const { id, sha256, name } = req.params as { id: string; sha256: string; name: string }
        const session = gradio.session(id)
        if (session === undefined) return next()
        session.sendFile({ sha256, name }, res).then(() => over.push(name), next)
      })
    })
    return { ...site, over }
  }

  it('sendFile() responds like the route', async t => {
    const { newUser, visitor, over, cacheDir } = await sendSite(t)
    const { user, id } = await newUser()
    const { body } = await upload<CachedFile[]>(user, [
      { name: 'digits.txt', bytes: DIGITS },
      { name: 'page.html', bytes: '<script>alert(1)</script>' },
    ])
    const requests: RequestInit[] = [
      {},
      { method: 'HEAD' },
      { headers: { range: 'bytes=2-5' } },
      { headers: { range: 'bytes=99-' } },
      { headers: ifNoneMatch('*') },
      { headers: { 'if-match': '"other"' } },
    ]
    const answerOf = async (path: string, init: RequestInit, who = user) => {
      const answer = await who.fetch(path, init)
      const { date: _, ...headers } = Object.fromEntries(answer.headers)
      return { status: answer.status, headers, text: await answer.text() }
    }
    for (const { url } of body) {
      const path = url.replace('/gradio_api/file', '')
      for (const init of requests) {
        const expected = await answerOf(url, init)
        assert.deepEqual(await answerOf(`/mine${path}`, init), expected)
        assert.deepEqual(await answerOf(`/of/${id}${path}`, init, visitor()), expected)
      }
      assert.equal((await visitor().fetch(`/mine${path}`)).status, 404)
    }
    await until(() => over.length === 2 * body.length * requests.length)
    await until(() => openBelow(cacheDir).length === 0)
  })

  it('sendFile() resolves when the browser aborts, and closes the file', async t => {
    const { newUser, over, cacheDir } = await sendSite(t)
    const { user } = await newUser()
    const { body } = await upload<CachedFile[]>(user, [{ name: 'large', bytes: new Uint8Array(20_000_000) }])
    const aborting = new AbortController()
    const path = body[0]!.url.replace('/gradio_api/file', '/mine')
    await user.fetch(path, { signal: aborting.signal })
    assert.deepEqual(over, [])
    aborting.abort()
    await until(() => over.length === 1 && openBelow(cacheDir).length === 0)
  })

  it('filesOf() returns the same for each form of multer, in the order of the request', async t => {
    const files: FormFile[] = [
      { name: 'large.bin', bytes: new Uint8Array(1_000_000), field: 'a' },
      { name: '../two.txt', bytes: '2', field: 'a' },
      { name: 'three.png', bytes: '3', field: 'b' },
      { name: 'three.png', bytes: '3', field: 'b' },
    ]
    const seen: UploadedFile[][] = []
    const { newUser, gradio } = await uploadSite(t, express, {}, (app, gradio) => {
      const own = multer({ storage: gradio.storage })
      const forms = {
        any: own.any(),
        fields: own.fields([{ name: 'a' }, { name: 'b' }]),
        array: own.array('a'),
        single: gradio.upload.single('a'),
        none: own.none(),
      }
      for (const [path, form] of Object.entries(forms))
        app.post(`/${path}`, form, (req, res) => {
          seen.push(gradio.filesOf(req))
          res.json(seen.at(-1))
        })
    })
    const { user, id } = await newUser()
    const expected = [
      ['a', 'large.bin', 1_000_000, 'application/octet-stream'],
      ['a', 'two.txt', 1, 'text/plain'],
      ['b', 'three.png', 1, 'image/png'],
      ['b', 'three.png', 1, 'image/png'],
    ]
    for (const [path, count] of Object.entries({ any: 4, fields: 4, array: 2, single: 1, none: 0 })) {
      const { status } = await upload(user, files.slice(0, count), `/${path}`)
      assert.equal(status, 200)
      const got = seen.at(-1)!
      assert.deepEqual(
        got.map(({ field, name, size, mimeType }) => [field, name, size, mimeType]),
        expected.slice(0, count),
      )
      for (const { field: _, ...file } of got) assert.deepEqual(await gradio.session(id)?.file(file), file)
    }
  })

  it('filesOf() a request without uploads, or with a failed one, is empty', async t => {
    let failed: UploadedFile[] | undefined
    const { newUser, gradio } = await uploadSite(t, express, { maxFileSize: 10 }, (app, gradio) => {
      app.get('/none', (req, res) => res.json(gradio.filesOf(req)))
      app.use(((error, req, _res, next) => {
        failed = gradio.filesOf(req)
        next(error)
      }) satisfies import('express').ErrorRequestHandler)
    })
    const { user } = await newUser()
    assert.deepEqual(await (await user.fetch('/none')).json(), [])
    const { status } = await upload(user, [
      { name: 'small', bytes: '1' },
      { name: 'large', bytes: DIGITS + DIGITS },
    ])
    assert.deepEqual([status, failed, gradio.stats().files], [413, [], 0])
  })
})
