// Files of scopes.

import assert from 'node:assert/strict'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import express from 'express'
import type { CachedFile, GradioStateOptions } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { assertNothingLeft } from '../support/files/disk.ts'
import { unique } from '../support/files/multipart.ts'
import { uploadSite } from '../support/files/upload-site.ts'
import { json } from '../support/http/express.ts'

/** An app that saves bodies in scopes; `session` is the session itself. */
function scopeSite(t: TestContext, options?: GradioStateOptions) {
  return uploadSite(t, express, options, app => {
    app.post('/save/:key/:name', express.raw({ type: () => true, limit: '50mb' }), (req, res, next) => {
      const { key, name } = req.params as Record<string, string>
      const state = key === 'session' ? req.gradioState : req.gradioState.scoped(key!)
      state.saveFile(req.body as Buffer, { name: name! }).then(file => res.json(file), next)
    })
  })
}

function save(user: Visitor, key: string, size: number, name = 'file') {
  const body = unique(size)
  return json<CachedFile & { code?: string }>(user.fetch(`/save/${key}/${name}`, { method: 'POST', body }))
}

it('are kept apart from those of the session, and deleted with the scope', async t => {
  const { newUser, gradio, cacheDir } = await scopeSite(t)
  const { user, id } = await newUser()
  const { user: stranger } = await newUser()
  const { body: own } = await save(user, 'session', 10)
  const { body: file } = await save(user, 'a', 20)
  const [session, scope] = [gradio.session(id)!, gradio.session(id)!.scoped('a')]
  assert.deepEqual([await session.files(), await scope.files()], [[own], [file]])
  assert.equal(file.path.startsWith(join(own.path, '../..')), false)
  const directory = await scope.directory()
  writeFileSync(join(directory, 'own'), 'written by the app')
  assert.equal((await (await user.fetch(file.url)).arrayBuffer()).byteLength, 20)
  assert.equal((await stranger.fetch(file.url)).status, 404)
  await scope.end()
  assert.deepEqual([existsSync(directory), existsSync(file.path), existsSync(own.path)], [false, false, true])
  assert.equal((await user.fetch(file.url)).status, 404)
  await save(user, 'b', 20)
  await gradio.endSession(id)
  assertNothingLeft(gradio, cacheDir)
})

it('count towards maxSessionBytes of the session, until their scope ends or the app removes them', async t => {
  const { newUser, gradio } = await scopeSite(t, { maxSessionBytes: 30_000 })
  const { user, id } = await newUser()
  await save(user, 'session', 10_000)
  const { body: removed } = await save(user, 'a', 10_000)
  await save(user, 'b', 10_000)
  for (const key of ['session', 'a', 'c']) {
    const { status, body } = await save(user, key, 5_000)
    assert.deepEqual([status, body.code], [413, 'SESSION_FULL'])
  }
  rmSync(removed.path)
  assert.equal((await save(user, 'c', 10_000)).status, 200)
  assert.equal((await save(user, 'session', 5_000)).status, 413)
  await gradio.session(id)!.scoped('b').end()
  assert.equal((await save(user, 'd', 10_000)).status, 200)
  assert.equal(gradio.stats().fileBytes, 30_000)
})

it('count towards maxSessionFiles of the session', async t => {
  const { newUser, gradio } = await scopeSite(t, { maxSessionFiles: 2 })
  const { user, id } = await newUser()
  await save(user, 'a', 10)
  await save(user, 'b', 10)
  assert.equal((await save(user, 'session', 10)).body.code, 'SESSION_FULL')
  await gradio.session(id)!.scoped('a').end()
  assert.equal((await save(user, 'session', 10)).status, 200)
})

it('that fill the cache never evict their own session', async t => {
  const { newUser, gradio } = await scopeSite(t, { maxCacheBytes: 20_000 })
  const { id } = await newUser()
  const session = gradio.session(id)!
  await session.scoped('a').saveFile(unique(15_000))
  await assert.rejects(session.scoped('b').saveFile(unique(10_000)), { code: 'CACHE_FULL' })
  assert.equal((await session.scoped('a').files()).length, 1)
})
