import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { it } from 'node:test'
import multer from 'multer'
import { assertNothingLeft, filesBelow } from '../support/files/disk.ts'
import { END, type Failure, partHead, slowUpload, unique, upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, idle, until } from '../support/http/express.ts'

type Uploaded = Express.Multer.File[]

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

forEachExpress((_name, express) => {
  it("req.files has multer's fields, the hash of the content, and its URL", async t => {
    const { newUser, gradio } = await uploadSite(t, express)
    const { user, id } = await newUser()
    const { status, body } = await upload<Uploaded>(user, [
      { name: 'picture.png', bytes: 'bytes', type: 'image/png' },
    ])
    assert.equal(status, 200)
    const [file] = body as [Express.Multer.File]
    const hash = sha256('bytes')
    assert.deepEqual(file, {
      fieldname: 'files',
      originalname: 'picture.png',
      encoding: '7bit',
      mimetype: 'image/png',
      destination: dirname(file.path),
      filename: 'picture.png',
      path: file.path,
      size: 5,
      sha256: hash,
      url: `/gradio_api/file/${hash}/picture.png`,
    })
    assert.equal(file.path, join((await gradio.session(id)!.files())[0]!.path))
    assert.ok(file.path.endsWith(join(id, 'saved', 'picture.png')))
    assert.equal(readFileSync(file.path, 'utf8'), 'bytes')
    assert.equal(statSync(file.path).mode & 0o777, 0o600)
    assert.equal(await (await user.fetch(file.url)).text(), 'bytes')
  })

  it('names in UTF-8 are preserved, and find the file', async t => {
    const { newUser } = await uploadSite(t, express)
    const { user } = await newUser()
    for (const name of ['日本語.png', 'Ünïcødé 100%.txt', '🎨.gif']) {
      const { body } = await upload<Uploaded>(user, [{ name, bytes: name }])
      const [file] = body as [Express.Multer.File]
      assert.deepEqual([file.originalname, file.filename, basename(file.path)], [name, name, name])
      assert.equal(await (await user.fetch(file.url)).text(), name)
    }
  })

  it('a name never decides where a file is stored', async t => {
    const { port, newUser, cacheDir } = await uploadSite(t, express)
    const { user, id } = await newUser()
    for (const name of ['../../../escape', '..', '.', '/etc/passwd', '..\\..\\evil.exe', '.bashrc', 'con']) {
      const slow = await slowUpload(t, port, user)
      await slow.send(partHead({ name }) + name)
      const { status } = await slow.finish()
      assert.equal(status, 200, name)
    }
    for (const path of filesBelow(cacheDir)) {
      assert.match(path, new RegExp(`^[0-9a-f-]{36}/${id}/saved(-\\d+)?/[^/.][^/]*$`))
    }
  })

  it('files of any size are complete, including empty ones', async t => {
    const { newUser, gradio } = await uploadSite(t, express)
    const { user } = await newUser()
    // Around the size up to which a file is kept in memory, and above what a stream buffers.
    for (const size of [0, 1, 262_143, 262_144, 262_145, 5_000_000]) {
      const bytes = unique(size)
      const { body } = await upload<Uploaded>(user, [{ name: `file-${size}`, bytes }])
      const [file] = body as [Express.Multer.File]
      assert.deepEqual([file.size, file.sha256], [size, sha256(bytes)])
      assert.equal(sha256(readFileSync(file.path)), file.sha256)
    }
    assert.equal(gradio.stats().files, 6)
    assert.equal(gradio.stats().fileBytes, 5_000_000 + 3 * 262_144 + 2 * 4096)
  })

  it('other readers of the request keep what they have read, and files that arrive in one chunk are each complete', async t => {
    const read: Buffer[] = []
    const { port, newUser, received } = await uploadSite(t, express, {}, (app, gradio) => {
      app.post(
        '/recorded',
        (req, _res, next) => {
          req.on('data', chunk => read.push(chunk))
          next()
        },
        gradio.upload.array('files'),
        (req, res) => {
          received.push(req.files as Uploaded)
          res.json(req.files)
        },
      )
    })
    const { user } = await newUser()
    const contents = [10, 300_000, 0, 200_000, 1, 700_000, 5].map(size => unique(size))
    const slow = await slowUpload(t, port, user, '/recorded')
    const parts = contents.flatMap((bytes, i) => [Buffer.from(partHead({ name: `${i}` })), bytes])
    await slow.send(Buffer.concat(parts))
    const { body } = await slow.finish<Uploaded>()
    assert.deepEqual(
      body.map(file => file.sha256),
      contents.map(sha256),
    )
    for (const [i, { path }] of body.entries())
      assert.deepEqual(readFileSync(path), Buffer.from(contents[i]!))
    assert.equal(sha256(Buffer.concat(read)), sha256(Buffer.concat([...parts, Buffer.from(END)])))
  })

  it('a form without files is no error, a body without anything is one, and both leave nothing', async t => {
    const { newUser, gradio, cacheDir, visitor } = await uploadSite(t, express)
    const { user } = await newUser()
    assert.deepEqual(await upload(user, []), { status: 200, body: [] })
    const headers = { 'content-type': 'multipart/form-data; boundary=x', 'content-length': '0' }
    const empty = await user.fetch('/upload', { method: 'POST', headers })
    assert.equal(empty.status, 400)
    assert.match(((await empty.json()) as Failure).message, /Unexpected end of form/)
    assert.deepEqual(await upload(visitor(), []), { status: 200, body: [] })
    assertNothingLeft(gradio, cacheDir)
  })

  it('the same bytes under the same name are stored once in a session, and once per session', async t => {
    const { newUser, gradio, cacheDir } = await uploadSite(t, express)
    const first = await newUser()
    const second = await newUser()
    const same = { name: 'same', bytes: 'the same' }
    const { body } = await upload<Uploaded>(first.user, [same, same])
    assert.equal(body[0]?.path, body[1]?.path)
    await Promise.all([upload(first.user, [same]), upload(second.user, [same])])
    assert.deepEqual(gradio.stats().files, 2)
    assert.equal(gradio.stats().fileBytes, 2 * 4096)
    await upload(first.user, [{ ...same, name: 'other' }])
    assert.equal(filesBelow(cacheDir).length, 3)
    await gradio.endSession(first.id)
    assert.deepEqual(
      filesBelow(cacheDir).map(path => path.split('/')[1]),
      [second.id],
    )
    await gradio.endSession(second.id)
    assertNothingLeft(gradio, cacheDir)
  })

  it("the storage works with the app's own multer, and all its options", async t => {
    const { newUser, gradio, cacheDir, failures } = await uploadSite(t, express, {}, (app, gradio) => {
      const own = multer({
        storage: gradio.storage,
        defParamCharset: 'utf8',
        limits: { files: 2, fileSize: 10 },
        fileFilter: (_req, file, done) => {
          if (file.originalname === 'refused') done(new Error('refused'))
          else done(null, !file.originalname.startsWith('skip'))
        },
      })
      app.post('/one', own.single('file'), (req, res) => res.json([req.file]))
      app.post('/many', own.fields([{ name: 'a' }, { name: 'b' }]), (req, res) => res.json(req.files))
      app.post('/any', own.any(), (req, res) => res.json(req.files))
    })
    const { user, id } = await newUser()
    const one = await upload<Uploaded>(user, [{ name: '日本語', bytes: '0123456789', field: 'file' }], '/one')
    assert.deepEqual([one.body[0]?.filename, one.body[0]?.sha256], ['日本語', sha256('0123456789')])
    const many = await upload<Record<string, Uploaded>>(
      user,
      [
        { name: 'x', bytes: 'x', field: 'a' },
        { name: 'skipped', bytes: 'skipped', field: 'b' },
      ],
      '/many',
    )
    assert.deepEqual([many.body.a?.[0]?.size, many.body.b], [1, undefined])
    await gradio.endSession(id)
    const refused: [string, { name: string; bytes: string; field?: string }[], string][] = [
      ['LIMIT_FILE_SIZE', [{ name: 'big', bytes: '0123456789+' }], '/any'],
      ['LIMIT_FILE_COUNT', ['1', '2', '3'].map(name => ({ name, bytes: name })), '/any'],
      ['LIMIT_UNEXPECTED_FILE', [{ name: 'x', bytes: 'x', field: 'other' }], '/one'],
      ['LIMIT_UNEXPECTED_FILE', ['1', '2'].map(name => ({ name, bytes: name, field: 'file' })), '/one'],
    ]
    for (const [code, files, path] of refused) {
      assert.equal((await upload<Failure>(user, files, path)).body.code, code)
      const error = failures.at(-1)
      assert.ok(error instanceof multer.MulterError)
      assertNothingLeft(gradio, cacheDir)
    }
    const before = { name: 'before', bytes: 'before' }
    const { body } = await upload<Failure>(user, [before, { name: 'refused', bytes: '' }], '/any')
    assert.equal(body.message, 'refused')
    assertNothingLeft(gradio, cacheDir)
  })

  it('if one of several files fails, none is left', async t => {
    const { newUser, gradio, cacheDir, received } = await uploadSite(t, express, { maxFileSize: 300_000 })
    const { user } = await newUser()
    const fine = () => ({ name: 'fine', bytes: unique(300_000) })
    const tooLarge = { name: 'too large', bytes: unique(300_001) }
    for (const files of [
      [fine(), tooLarge],
      [tooLarge, fine()],
      [fine(), tooLarge, fine()],
    ]) {
      const { status, body } = await upload<Failure>(user, files)
      assert.deepEqual([status, body.code], [413, 'FILE_TOO_LARGE'])
      assertNothingLeft(gradio, cacheDir)
    }
    assert.deepEqual(received, [])
  })

  it('a file stays in the session when the handler throws after the upload', async t => {
    const { newUser, gradio, cacheDir } = await uploadSite(t, express, {}, (app, gradio) => {
      app.post('/throws', gradio.upload.array('files'), () => {
        throw new Error('in the handler')
      })
    })
    const { user, id } = await newUser()
    const { body } = await upload<Failure>(user, [{ name: 'kept', bytes: 'kept' }], '/throws')
    assert.equal(body.message, 'in the handler')
    const files = await gradio.session(id)!.files()
    assert.deepEqual(
      files.map(file => file.name),
      ['kept'],
    )
    await gradio.endSession(id)
    assertNothingLeft(gradio, cacheDir)
  })

  it('an upload starts a session, and a request from outside the middleware gets an error that says what is missing', async t => {
    const { visitor, gradio } = await uploadSite(t, express)
    const user = visitor()
    const { status } = await upload(user, [{ name: 'first', bytes: 'first' }])
    assert.deepEqual([status, gradio.stats().sessions, user.cookies.size], [200, 1, 1])
    await idle(gradio)
    const outside = express()
    outside.post('/upload', gradio.upload.array('files'))
    const failed = new Promise<unknown>(resolve => {
      gradio.storage._handleFile({} as never, { stream: { resume() {} } } as never, resolve)
    })
    assert.equal(((await failed) as Failure).code, 'NOT_MOUNTED')
  })

  it('an upload in progress counts, and is not visible until it is complete', async t => {
    const { port, newUser, gradio, cacheDir } = await uploadSite(t, express)
    const { user, id } = await newUser()
    const slow = await slowUpload(t, port, user)
    await slow.send(partHead({ name: 'slow' }))
    await slow.send(unique(400_000))
    await until(() => gradio.stats().fileBytes === 400_000)
    assert.deepEqual(await gradio.session(id)!.files(), [])
    await until(() => filesBelow(cacheDir).length === 1)
    assert.match(filesBelow(cacheDir)[0]!, /^[^/]+\/\.incoming\//)
    assert.equal((await slow.finish()).status, 200)
    const files = await gradio.session(id)!.files()
    assert.deepEqual(
      files.map(file => file.size),
      [400_000],
    )
  })
})
