import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { basename, dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { CachedFile } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { snapshot, testCache } from '../support/files/cache.ts'
import { scratch } from '../support/files/disk.ts'
import { pausing } from '../support/files/failing-calls.ts'
import { NAMES, ROUTES } from '../support/files/hostile-names.ts'
import { upload } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'

const SECRET = 'precious'
describe('hostile names', () => {
  it('there are at least 150 names and paths', () => assert.ok(NAMES.length + ROUTES.length >= 150))

  it('never decide where a file is stored, saved or uploaded', { timeout: 240_000 }, async t => {
    const { site, user, directory, unchanged } = await hostile(t)
    for (const name of NAMES) {
      const saved = (await (
        await user.fetch('/save', { method: 'POST', body: JSON.stringify(name), headers: JSON_TYPE })
      ).json()) as CachedFile
      const uploaded = await upload<{ path: string; filename: string; url: string }[]>(user, [
        { name, bytes: `of ${name}` },
      ])
      // A part without a file name isn't a file.
      const files = [
        saved,
        ...(uploaded.body[0] === undefined ? [] : [{ ...uploaded.body[0], name: uploaded.body[0].filename }]),
      ]
      for (const file of files) {
        const { path } = file
        assert.equal(path, join(directory, basename(dirname(path)), file.name), JSON.stringify(name))
        assert.match(basename(dirname(path)), /^saved(-\d+)?$/)
        assert.equal(realpathSync(path), path)
        assert.ok(lstatSync(path).isFile())
        const answer = await user.fetch(file.url)
        assert.equal(answer.status, 200, file.url)
        assert.doesNotMatch(await answer.text(), new RegExp(SECRET))
      }
    }
    // The parser rejects control characters.
    const others = site.failures.filter(error => (error as Error).message !== 'Malformed part header')
    assert.deepEqual(others, [])
    unchanged()
  })

  it('of the file route find nothing', { timeout: 240_000 }, async t => {
    const { ask, own, unchanged } = await hostile(t)
    for (const route of ROUTES) {
      for (const path of [`/gradio_api/file/${route}`, `/gradio_api/file/${route}?x=/../..`]) {
        const { status, text } = await ask(path.replaceAll('OWN', own.sha256))
        assert.equal(status === 404 || status === 400, true, `${path}: ${status}`)
        assert.doesNotMatch(text, new RegExp(`${SECRET}|gradioState`))
      }
    }
    assert.equal((await ask(own.url)).text, 'own')
    unchanged()
  })
})

describe('a symbolic link planted', () => {
  const places: Record<string, (own: CachedFile) => string> = {
    'in place of a file': own => own.path,
    'in place of its directory': own => dirname(own.path),
    'in place of the session’s directory': own => dirname(dirname(own.path)),
  }
  for (const [where, place] of Object.entries(places)) {
    it(`${where} is neither served, adopted nor swept through`, async t => {
      const { site, ask, own, plant, unchanged, user } = await hostile(t)
      plant(place(own))
      const { status, text } = await ask(own.url)
      assert.equal(status, 404)
      assert.doesNotMatch(text, new RegExp(SECRET))
      const kept = join(scratch(t), 'kept')
      const adopted = await user.fetch('/adopt', {
        method: 'POST',
        headers: JSON_TYPE,
        body: JSON.stringify({ ...own, kept }),
      })
      assert.notEqual(adopted.status, 200)
      unchanged()
      await site.clock.advance(400)
      await site.clock.advance(400)
      unchanged()
      await site.gradio.endSession(site.gradio.sessions()[0]?.id ?? '')
      await site.gradio.close()
      unchanged()
      assert.equal(readdirSync(site.cacheDir).length, 0)
    })

    it(`${where} is not written through`, async t => {
      const { user, own, plant, unchanged, site } = await hostile(t)
      plant(place(own))
      await upload(user, [{ name: 'a.txt', bytes: 'own' }])
      await upload(user, [{ name: 'b.txt', bytes: 'own' }])
      await upload(user, [{ name: 'c.txt', bytes: 'other' }])
      unchanged()
      await site.gradio.close()
      unchanged()
    })
  }

  it('at the place of a session’s future directory is not written through', async t => {
    const { session, folder } = testCache(t)
    await session().save(Buffer.from('text'), 'first.txt')
    const [files, elsewhere] = [session(), scratch(t)]
    const { reached, resume } = pausing(t, 'mkdir', files.path)
    const saved = assert.rejects(files.save(Buffer.from('own'), 'a.txt'), { code: 'CACHE_DIR_UNSAFE' })
    await reached
    symlinkSync(elsewhere, files.path)
    resume()
    await saved
    assert.deepEqual(readdirSync(elsewhere), [])
    assert.deepEqual(readdirSync(join(folder, '.incoming')), [])
  })

  it('at the destination of a rename is skipped, not followed', async t => {
    const { user, directory, canary, unchanged } = await hostile(t)
    symlinkSync(join(canary, 'a.txt'), join(directory, 'saved/new.txt'))
    const { status } = await upload(user, [{ name: 'new.txt', bytes: 'about to come' }])
    assert.equal(status, 200)
    assert.ok(lstatSync(join(directory, 'saved/new.txt')).isSymbolicLink())
    assert.ok(lstatSync(join(directory, 'saved-2/new.txt')).isFile())
    unchanged()
  })

  it('in place of a directory for saved files is skipped', async t => {
    const { user, directory, canary, unchanged } = await hostile(t)
    symlinkSync(canary, join(directory, 'saved-2'))
    const { status } = await upload(user, [{ name: 'a.txt', bytes: 'about to come' }])
    assert.equal(status, 200)
    assert.ok(lstatSync(join(directory, 'saved-3/a.txt')).isFile())
    unchanged()
  })

  it('among the files of the app is deleted with the session, and its target stays', async t => {
    const { site, directory, app, canary, unchanged } = await hostile(t)
    for (const [name, target] of Object.entries({
      file: join(canary, 'a.txt'),
      all: canary,
      root: '/',
      up: '../../..',
    }))
      for (const place of [directory, app]) symlinkSync(target, join(place, name))
    await site.clock.advance(400)
    await site.gradio.endSession(basename(directory))
    unchanged()
    assert.deepEqual(
      readdirSync(dirname(directory)).filter(name => !name.startsWith('.')),
      ['owner.json'],
    )
  })
})

const JSON_TYPE = { 'content-type': 'application/json' }

async function hostile(t: TestContext) {
  const root = scratch(t)
  const canary = join(root, 'canary')
  mkdirSync(join(canary, 'sub'), { recursive: true })
  const below = join('session', 'saved')
  mkdirSync(join(canary, below), { recursive: true })
  for (const name of ['a.txt', 'b.txt', 'passwd', 'sub/a.txt', 'owner.json', join(below, 'a.txt')])
    writeFileSync(join(canary, name), SECRET)
  const site = await uploadSite(
    t,
    express,
    { cacheDir: join(root, 'cache'), deleteCache: [100, 200], gracePeriod: '30d' },
    app => {
      app.use(express.json({ limit: '1mb', strict: false }))
      app.post('/directory', (req, res, next) => {
        req.gradioState.directory().then(path => res.json(path), next)
      })
      app.post('/save', (req, res, next) => {
        req.gradioState.saveFile(`of ${req.body}`, { name: req.body }).then(file => res.json(file), next)
      })
      app.post('/adopt', (req, res, next) => {
        req.gradioState.adopt(req.body, req.body.kept).then(path => res.json(path), next)
      })
    },
  )
  const { user } = await site.newUser()
  const app = (await (await user.fetch('/directory', { method: 'POST' })).json()) as string
  const directory = dirname(app)
  const { body } = await upload<(CachedFile & { filename: string })[]>(user, [
    { name: 'a.txt', bytes: 'own' },
  ])
  const own = { ...body[0]!, name: 'a.txt' }
  const taken = snapshot(canary)
  return {
    site,
    user,
    directory,
    app,
    own,
    canary,
    /** Replaces whatever is there with a link to the canary. */
    plant(path: string) {
      const isFile = lstatSync(path).isFile()
      renameSync(path, join(root, 'moved'))
      // The link target looks the same: it has the session's directory with the file's.
      const target = isFile ? join(canary, 'a.txt') : path === directory ? join(canary, 'session') : canary
      symlinkSync(target, path)
    },
    /** Sends a path unchanged: `fetch` would normalize it. */
    ask: (path: string) => ask(site.port, path, user),
    unchanged: () => {
      assert.equal(snapshot(canary), taken)
      assert.deepEqual(
        readdirSync(root)
          .filter(name => name !== 'moved')
          .sort(),
        ['cache', 'canary'],
      )
    },
  }
}

async function ask(port: number, path: string, user: Visitor): Promise<{ status: number; text: string }> {
  const cookie = [...user.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const request = get({ port, path, headers: { cookie }, agent: false })
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode ?? 0, text }
}
