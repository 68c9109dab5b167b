import assert from 'node:assert/strict'
import { createReadStream, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { it, type TestContext } from 'node:test'
import type { FileData, GradioStateOptions, StoredFields } from '../../lib/index.ts'
import { assertNothingLeft, filesBelow, openBelow, scratch } from '../support/files/disk.ts'
import { unique } from '../support/files/multipart.ts'
import { until } from '../support/http/express.ts'
import { isAbout } from '../support/option-error.ts'
import { harness } from '../support/sessions/harness.ts'

async function session(t: TestContext, options: GradioStateOptions = {}) {
  const cacheDir = scratch(t)
  const made = harness(t, { cacheDir, ...options })
  return { ...made, cacheDir, session: await made.user().session() }
}

const webStream = (...chunks: unknown[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk as Uint8Array)
      controller.close()
    },
  })

it('saves bytes, text, streams, Blobs and files on the disk unchanged', async t => {
  const { session: state, cacheDir } = await session(t)
  const onDisk = join(cacheDir, 'report.pdf')
  writeFileSync(onDisk, 'text')
  const bytes = new TextEncoder().encode('text')
  const sources: [FileData, string][] = [
    ['text', 'file'],
    [bytes, 'file'],
    [bytes.buffer as ArrayBuffer, 'file'],
    [Buffer.from('text'), 'file'],
    [Readable.from(['te', 'xt']), 'file'],
    [Readable.from([Buffer.from('text')], { objectMode: false }), 'file'],
    [createReadStream(onDisk), 'file'],
    [webStream(bytes.subarray(0, 1), bytes.subarray(1)), 'file'],
    [
      (async function* () {
        yield* ['te', bytes.subarray(2)]
      })(),
      'file',
    ],
    [new Blob(['te', 'xt']), 'file'],
    [new File(['text'], 'letter.txt'), 'letter.txt'],
    [{ path: onDisk }, 'report.pdf'],
  ]
  for (const [data, name] of sources) {
    const file = await state.saveFile(data)
    assert.deepEqual([file.name, file.size, readFileSync(file.path, 'utf8')], [name, 4, 'text'])
  }
  const named = await state.saveFile({ path: onDisk }, { name: '日本語.png' })
  assert.deepEqual([named.name, named.mimeType], ['日本語.png', 'image/png'])
  assert.equal(readFileSync(onDisk, 'utf8'), 'text')
})

it('an empty source makes an empty file', async t => {
  const { session: state } = await session(t)
  const empty: FileData[] = ['', new Uint8Array(), Readable.from([]), webStream(), new Blob([])]
  for (const data of empty) assert.equal((await state.saveFile(data)).size, 0)
})

it('a string is never a path', async t => {
  const { session: state } = await session(t)
  const file = await state.saveFile('/etc/passwd')
  assert.equal(readFileSync(file.path, 'utf8'), '/etc/passwd')
})

it('only a regular file is saved by its path, and no other object is data', async t => {
  const { session: state, cacheDir, gradio } = await session(t)
  const link = join(cacheDir, 'link')
  symlinkSync('/etc/passwd', link)
  for (const path of [cacheDir, link, '/dev/zero'])
    await assert.rejects(state.saveFile({ path }), isAbout('path given to saveFile()', path))
  await assert.rejects(state.saveFile({ path: join(cacheDir, 'none') }), { code: 'ENOENT' })
  for (const data of [undefined, null, 1, {}, []])
    await assert.rejects(state.saveFile(data as never), isAbout('data of saveFile()'))
  await assert.rejects(state.saveFile('x', { name: 1 as never }), isAbout('name given to saveFile()', '1'))
  await assert.rejects(state.saveFile('x', { nam: 'x' } as never), isAbout('saveFile()', 'nam'))
  assert.equal(gradio.stats().files, 0)
})

it('a stream that fails rejects with its own error, at any time', async t => {
  const { session: state, cacheDir, gradio } = await session(t)
  const error = new Error('in the source')
  const failing = new PassThrough()
  failing.write(unique(300_000))
  const saving = state.saveFile(failing)
  setImmediate(() => failing.destroy(error))
  await assert.rejects(saving, error)
  const before = new PassThrough().on('error', () => {})
  before.destroy(error)
  await new Promise(resolve => setImmediate(resolve))
  await assert.rejects(state.saveFile(before), error)
  await assert.rejects(state.saveFile(createReadStream(join(cacheDir, 'none'))), { code: 'ENOENT' })
  const web = new ReadableStream({ pull: controller => controller.error(error) })
  await assert.rejects(state.saveFile(web), error)
  const cut = new PassThrough()
  const cutting = state.saveFile(cut)
  cut.destroy()
  await assert.rejects(cutting, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  await assert.rejects(
    state.saveFile(Readable.from([{ not: 'bytes' }])),
    isAbout('a stream given to saveFile()'),
  )
  await assert.rejects(state.saveFile(webStream({ not: 'bytes' })), TypeError)
  assertNothingLeft(gradio, cacheDir)
})

it('a first file whose source fails at once is not a crash', async t => {
  const { session: state, cacheDir } = await session(t)
  await assert.rejects(state.saveFile(createReadStream(join(cacheDir, 'none'))), { code: 'ENOENT' })
})

it('at a limit the source is abandoned, not read to its end', async t => {
  const { session: state, cacheDir, gradio } = await session(t, { maxFileSize: 500_000 })
  let isCancelled = false
  const endless = new ReadableStream({
    pull: controller => controller.enqueue(new Uint8Array(65_536)),
    cancel() {
      isCancelled = true
    },
  })
  await assert.rejects(state.saveFile(endless), { code: 'FILE_TOO_LARGE', status: 413 })
  await until(() => isCancelled)
  const stream = new Readable({
    read() {
      this.push(Buffer.alloc(65_536))
    },
  })
  await assert.rejects(state.saveFile(stream), { code: 'FILE_TOO_LARGE' })
  assert.ok(stream.destroyed)
  const path = join(scratch(t), 'large')
  writeFileSync(path, unique(600_000))
  await assert.rejects(state.saveFile({ path }), { code: 'FILE_TOO_LARGE' })
  await until(() => openBelow(path).length === 0)
  assertNothingLeft(gradio, cacheDir)
})

it('the end of a session aborts what it is saving, and closes the file that is read', async t => {
  const { session: state, cacheDir, gradio } = await session(t)
  const path = join(scratch(t), 'large')
  writeFileSync(path, unique(5_000_000))
  const endless = new PassThrough()
  endless.write(unique(400_000))
  const saving = [
    state.saveFile(endless),
    state.saveFile({ path }),
    state.saveFile(
      (async function* () {
        yield 'x'
        await new Promise(() => {})
      })(),
    ),
  ]
  const rejected = Promise.all(saving.map(saved => assert.rejects(saved, { code: 'SESSION_ENDED' })))
  await gradio.endSession(state.id)
  await rejected
  await until(() => endless.destroyed && openBelow(path).length === 0)
  assertNothingLeft(gradio, cacheDir)
  await assert.rejects(state.saveFile('late'), { code: 'SESSION_ENDED' })
})

it('what an upload has removed stays while another one uses it', async t => {
  const { gradio, session: state, user, cacheDir } = await session(t)
  const { req, end } = await user().begin()
  const store = () =>
    new Promise<Express.Multer.File>((resolve, reject) => {
      const file = { originalname: 'same', stream: Readable.from(['same']) } as never
      gradio.storage._handleFile(req as never, file, (error: unknown, stored?: StoredFields) =>
        error ? reject(error) : resolve(stored as Express.Multer.File),
      )
    })
  const giveBack = (file: Express.Multer.File) =>
    new Promise<unknown>(resolve => gradio.storage._removeFile(req as never, file, resolve))
  const first = await store()
  await giveBack(await store())
  assert.equal(readFileSync(first.path, 'utf8'), 'same', 'one of two uploads was given back')
  // The removal and the next upload of the same file overlap.
  const [second] = await Promise.all([store(), giveBack(first)])
  assert.equal(readFileSync(second.path, 'utf8'), 'same')
  await giveBack(second)
  assert.equal(gradio.stats().files, 0)
  const kept = await state.saveFile('same', { name: 'same' })
  await giveBack(first)
  assert.equal(readFileSync(kept.path, 'utf8'), 'same', 'one that came later under the same name')
  end()
  await gradio.endSession(state.id)
  assertNothingLeft(gradio, cacheDir)
})

it('a path in the session’s directory is not saved through a link, in any part of it', async t => {
  const { session: state } = await session(t)
  const secret = scratch(t)
  writeFileSync(join(secret, 'a.txt'), 'secret')
  const directory = await state.directory()
  symlinkSync(secret, join(directory, 'out'))
  await assert.rejects(state.saveFile({ path: join(directory, 'out/a.txt') }), { code: 'ENOTDIR' })
  mkdirSync(join(directory, 'own/below'), { recursive: true })
  writeFileSync(join(directory, 'own/below/a.txt'), 'own')
  const { path, name } = await state.saveFile({ path: join(directory, 'own/below/../below/a.txt') })
  assert.deepEqual([readFileSync(path, 'utf8'), name], ['own', 'a.txt'])
  await assert.rejects(state.saveFile({ path: directory }), isAbout('path given to saveFile()'))
})

it('files of the app are separate from saved files, and their directory stays', async t => {
  const { session: state, cacheDir } = await session(t)
  const { path } = await state.saveFile('saved', { name: 'a.txt' })
  const directory = await state.directory()
  assert.deepEqual([readdirSync(directory), relative(directory, path)], [[], '../saved/a.txt'])
  writeFileSync(join(directory, 'a.txt'), 'own')
  assert.equal(await state.directory(), directory)
  assert.equal((await state.files()).length, 1)
  assert.ok(filesBelow(cacheDir).some(file => file.endsWith('app/a.txt')))
})
