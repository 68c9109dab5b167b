import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import multer from 'multer'
import type { GradioStateOptions } from '../../lib/index.ts'
import { assertNothingLeft, filesBelow, scratch } from '../support/files/disk.ts'
import { emptyFiles, heldBy, type Part, sendParts, texts, watchFiles } from '../support/files/many-parts.ts'
import { type Failure, partHead, slowUpload, unique, upload } from '../support/files/multipart.ts'
import { uploadRouteSite } from '../support/files/upload-route-site.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { forEachExpress, until } from '../support/http/express.ts'
import { harness } from '../support/sessions/harness.ts'

const file = (name: string) => ({ name, bytes: unique(10) })

/** Enough for one version of Express: the limits are multer's. */
const MANY_FILES = '1,300 empty files'

forEachExpress((version, express) => {
  /** An app that accepts uploads at `/upload` with `gradio.upload`, and at `/own` with a multer that has the given limits. */
  async function app(t: TestContext, options: GradioStateOptions = {}, limits?: multer.Options['limits']) {
    const requests: IncomingMessage[] = []
    const made = await uploadSite(t, express, options, (app, gradio) => {
      app.post('/own', multer({ storage: gradio.storage, limits }).array('files'), (req, res) => {
        requests.push(req)
        res.json(req.files)
      })
    })
    made.server.on('request', req => requests.push(req))
    return { ...made, requests }
  }

  const floods: Record<string, [parts: () => Part[], code: string]> = {
    [MANY_FILES]: [() => emptyFiles(1_300), 'LIMIT_FILE_COUNT'],
    '20 texts of 1 MB': [() => texts(20, 1_000_000), 'LIMIT_FIELD_VALUE'],
    '1,300 texts of one character': [() => texts(1_300, 1), 'LIMIT_FIELD_COUNT'],
    'a long name of a field': [() => [{ field: 'n'.repeat(101) }], 'LIMIT_FIELD_KEY'],
    'a name with many brackets': [() => [{ field: `a${'[b]'.repeat(6)}` }], 'LIMIT_FIELD_NESTING'],
    'a high index': [() => [{ field: 'a[101]' }], 'LIMIT_FIELD_ARRAY_INDEX'],
  }
  for (const [what, [parts, code]] of Object.entries(floods)) {
    if (what === MANY_FILES && version === 'Express 4') continue
    it(`${what} in one request are rejected, and nothing is left of them`, async t => {
      const { newUser, gradio, cacheDir, requests } = await app(t)
      const { user, id } = await newUser()
      requests.length = 0
      const files = watchFiles(cacheDir)
      const answer = await sendParts(user, '/upload', [...emptyFiles(3), ...parts()])
      assert.deepEqual([answer.status, ((await answer.json()) as Failure).code], [400, code])
      files.assertFew()
      // In memory only during the request.
      assert.ok(heldBy(requests[0]!) <= 100 * 70_000, `${heldBy(requests[0]!)} characters`)
      assertNothingLeft(gradio, cacheDir)
      assert.equal((await upload(user, [file('after')])).status, 200)
      await gradio.endSession(id)
      assertNothingLeft(gradio, cacheDir)
    })
  }

  it('accepts the size of large real forms', async t => {
    const { newUser, gradio, requests } = await app(t)
    const { user } = await newUser()
    const parts = [...texts(99, 65_536), { field: `${'n'.repeat(85)}[1][2][3][4][5]`, text: 'x' }]
    const answer = await sendParts(user, '/upload', [...parts, ...emptyFiles(100)])
    assert.equal(answer.status, 200)
    assert.equal(gradio.stats().files, 100)
    assert.equal(Object.keys((requests.at(-1) as unknown as { body: object }).body).length, 100)
  })

  it("the app's own multer has its own limits, and maxSessionFiles applies to it too", async t => {
    const { newUser, gradio, cacheDir } = await app(
      t,
      { maxSessionFiles: 100 },
      { fieldSize: 2_000_000, fields: 500 },
    )
    const { user } = await newUser()
    assert.equal((await sendParts(user, '/own', texts(150, 1000))).status, 200)
    assert.equal((await sendParts(user, '/own', texts(2, 1_500_000))).status, 200)
    const files = watchFiles(cacheDir, 200)
    const answer = await sendParts(user, '/own', emptyFiles(300))
    assert.deepEqual([answer.status, ((await answer.json()) as Failure).code], [413, 'SESSION_FULL'])
    files.assertFew()
    assertNothingLeft(gradio, cacheDir)
  })

  it('of parallel requests, as many succeed as there is room for', async t => {
    const { newUser, gradio, cacheDir } = await app(t, { maxSessionFiles: 10 })
    const [{ user, id }, other] = [await newUser(), await newUser()]
    assert.equal((await upload(user, [file('before')])).status, 200)
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => upload<Failure>(user, [file(`${i}`)])),
    )
    const refused = answers.filter(({ status }) => status !== 200)
    assert.equal(refused.length, 31)
    for (const { status, body } of refused) assert.deepEqual([status, body.code], [413, 'SESSION_FULL'])
    assert.match(refused[0]!.body.message, /^Expected at most 10 files \(maxSessionFiles\), got more\./)
    assert.deepEqual([(await gradio.session(id)!.files()).length, filesBelow(cacheDir).length], [10, 10])
    assert.equal((await upload(other.user, [file('of another')])).status, 200)
  })

  it('an upload that is cut off releases its reservation, and so does a rejected one', async t => {
    const { port, newUser, gradio } = await app(t, { maxSessionFiles: 2, maxFileSize: 100_000 })
    const { user } = await newUser()
    assert.equal((await upload(user, [file('before')])).status, 200)
    for (let round = 0; round < 3; round++) {
      const slow = await slowUpload(t, port, user)
      await slow.send(`${partHead({ name: 'slow' })}begun`)
      await until(() => gradio.stats().fileBytes === 2 * 4096)
      assert.equal((await upload<Failure>(user, [file('second')])).body.code, 'SESSION_FULL')
      slow.socket.destroy()
      await until(() => gradio.stats().fileBytes === 4096)
      const large = await upload<Failure>(user, [{ name: 'large', bytes: unique(100_001) }])
      assert.equal(large.body.code, 'FILE_TOO_LARGE')
    }
    assert.equal((await upload(user, [file('last')])).status, 200)
  })

  it('the upload route rejects a flood too, and nothing is left of it', async t => {
    const made = await uploadRouteSite(t, express, { options: { maxSessionFiles: 100 } })
    const { gradio, visitor, cacheDir, errors } = made
    const user = visitor()
    for (const [parts, status, code] of [
      [emptyFiles(300), 413, 'SESSION_FULL'],
      [texts(20, 1_000_000), 400, 'UPLOAD_INVALID'],
      [texts(1_300, 1), 400, 'UPLOAD_INVALID'],
    ] as const) {
      const files = watchFiles(cacheDir, 200)
      const answer = await sendParts(user, '/gradio_api/upload', parts)
      const { error } = (await answer.json()) as { error: Failure }
      assert.deepEqual([answer.status, error.code], [status, code])
      files.assertFew()
      assertNothingLeft(gradio, cacheDir)
    }
    const full = async () => sendParts(user, '/gradio_api/upload', emptyFiles(100))
    assert.equal((await full()).status, 200)
    const answer = await sendParts(user, '/gradio_api/upload', [{ field: 'files', fileName: 'one more' }])
    const { error } = (await answer.json()) as { error: Failure }
    assert.deepEqual([answer.status, error.code], [413, 'SESSION_FULL'])
    assert.deepEqual(errors, [])
  })
})

it('saveFile in a loop is rejected from the 1,001st file on, until one is deleted', async t => {
  const { gradio, user } = harness(t, { cacheDir: scratch(t) })
  const { state, end } = await user().begin()
  for (let i = 0; i < 1000; i++) await state.saveFile(`${i % 3}`, { name: `${i}` })
  const full = { code: 'SESSION_FULL', status: 413 }
  for (let i = 0; i < 3; i++) await assert.rejects(state.saveFile('more', { name: 'more' }), full)
  await assert.rejects(
    Promise.all(Array.from({ length: 50 }, (_, i) => state.saveFile('', { name: `${i}` }))),
    full,
  )
  assert.deepEqual([gradio.stats().files, gradio.stats().fileBytes], [1000, 1000 * 4096])
  const [first] = await state.files()
  await state.adopt(first!, join(scratch(t), 'adopted'))
  await state.saveFile('more', { name: 'more' })
  await assert.rejects(state.saveFile('one more', { name: 'one more' }), full)
  end()
})

it('maxSessionFiles: Infinity lifts the limit of a session', async t => {
  const { gradio, user } = harness(t, { cacheDir: scratch(t), maxSessionFiles: Number.POSITIVE_INFINITY })
  const { state, end } = await user().begin()
  for (let i = 0; i <= 1000; i++) await state.saveFile('', { name: `${i}` })
  assert.equal(gradio.stats().files, 1001)
  end()
})

it('empty files count towards maxSessionBytes and maxCacheBytes', async t => {
  for (const [option, code] of [
    ['maxSessionBytes', 'SESSION_FULL'],
    ['maxCacheBytes', 'CACHE_FULL'],
  ] as const) {
    const { user } = harness(t, { cacheDir: scratch(t), [option]: 10 * 4096 })
    const { state, end } = await user().begin()
    for (let i = 0; i < 10; i++) await state.saveFile('', { name: `${i}` })
    await assert.rejects(state.saveFile('', { name: 'more' }), { code })
    end()
  }
})

it('files of the same name count their directories, too, until they are deleted', async t => {
  const { gradio, user } = harness(t, { cacheDir: scratch(t), maxCacheBytes: 15 * 4096 })
  const { state, end } = await user().begin()
  const save = (text: string) => state.saveFile(text, { name: 'same' })
  const first = await save('0')
  for (let i = 1; i < 8; i++) await save(`${i}`)
  assert.equal(gradio.stats().fileBytes, 15 * 4096)
  await assert.rejects(save('8'), { code: 'CACHE_FULL' })
  const [, second] = await state.files()
  await writeFile(second!.path, 'changed by the app')
  await rm(first.path)
  await rename(second!.path, `${second!.path}.moved`)
  await writeFile(second!.path, 'replaced by the app')
  assert.equal((await state.files()).length, 7)
  assert.equal(gradio.stats().fileBytes, 14 * 4096)
  for (const file of await state.files()) await state.deleteFile(file)
  assert.equal(gradio.stats().fileBytes, 0)
  for (let i = 0; i < 8; i++) await save(`${i}`)
  assert.equal(gradio.stats().fileBytes, 15 * 4096)
  await state.end()
  assert.equal(gradio.stats().fileBytes, 0)
  end()
})
