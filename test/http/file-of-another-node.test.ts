// The responses of `GET file/:sha256/:name` on a node that doesn't have the file, if another one with the same cache
// directory has it.

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import express from 'express'
import type { CachedFile } from '../../lib/index.ts'
import type { Visitor } from '../../lib/testing/index.ts'
import { countEnters } from '../support/cluster/count-enters.ts'
import { filesBelow, scratch } from '../support/files/disk.ts'
import { leaveInstance } from '../support/files/leftover-instance.ts'
import { DIGITS, ifNoneMatch, save, saveSite } from '../support/files/save-site.ts'
import { until } from '../support/http/express.ts'
import { type Node, nodes, roamingUser } from '../support/http/nodes.ts'

interface Saved extends CachedFile {
  readonly session: string
}

async function cluster(t: TestContext, count = 2) {
  const cacheDir = scratch(t)
  const all = await nodes(t, count, {
    options: { cacheDir },
    routes(app) {
      app.post('/save/:name', express.text({ type: () => true }), async (req, res) => {
        await req.gradioState.establish()
        const file = await req.gradioState.saveFile(req.body, { name: req.params.name as string })
        res.json({ ...file, session: req.gradioState.id })
      })
      app.post('/end', async (req, res) => {
        await req.gradioState.establish()
        await req.gradioState.end()
        res.end()
      })
    },
  })
  const [a, b] = all as unknown as [Node, Node]
  return { all, a, b, cacheDir }
}

async function put(user: Visitor, name = 'digits.txt', body = DIGITS): Promise<Saved> {
  return (await (await user.fetch(`/save/${name}`, { method: 'POST', body })).json()) as Saved
}

/** All of a response, except its date. */
async function summaryOf(answer: Response) {
  const { date, 'keep-alive': _, ...headers } = Object.fromEntries(answer.headers)
  return { status: answer.status, headers, body: await answer.text() }
}

it('a file is served by any node as by the one that has it', async t => {
  const { a, b } = await cluster(t)
  const user = roamingUser()
  const { url, sha256 } = await put(user.at(a))
  const requests: RequestInit[] = [
    {},
    { method: 'HEAD' },
    { headers: { range: 'bytes=2-5' } },
    { headers: { range: 'bytes=20-' } },
    { headers: { range: 'bytes=0-1', 'if-range': '"another"' } },
    { headers: ifNoneMatch(`"${sha256}"`) },
  ]
  const statuses = []
  for (const request of requests) {
    const [own, sibling] = [await user.at(a).fetch(url, request), await user.at(b).fetch(url, request)]
    statuses.push(sibling.status)
    assert.deepEqual(await summaryOf(sibling), await summaryOf(own))
  }
  assert.deepEqual(statuses, [200, 200, 206, 416, 200, 304])
  const picture = await put(user.at(a), 'page.html', '<script>alert(1)</script>')
  const answer = await user.at(b).fetch(picture.url)
  assert.match(answer.headers.get('content-disposition') ?? '', /^attachment/)
  assert.deepEqual(await summaryOf(answer), await summaryOf(await user.at(a).fetch(picture.url)))
})

it('for another user the response is the same as for a file that never existed, on every node', async t => {
  const { all, a, b } = await cluster(t, 3)
  const [user, stranger, nobody] = [roamingUser(), roamingUser(), roamingUser()]
  const { url } = await put(user.at(a))
  await put(stranger.at(b), 'other.txt')
  const never = await summaryOf(await user.at(a).fetch(url.replace('digits', 'never')))
  assert.equal(never.status, 404)
  for (const node of all) {
    for (const other of [stranger, nobody])
      assert.deepEqual(await summaryOf(await other.at(node).fetch(url)), never)
    const wrong = await user
      .at(node)
      .fetch(url.replace(/file\/./, digit => (digit === 'file/0' ? 'file/1' : 'file/0')))
    assert.deepEqual(await summaryOf(wrong), never)
    for (const name of ['..%2F..%2Fowner.json', 'digits.txt%00', '%E0%A4'])
      assert.deepEqual(await summaryOf(await user.at(node).fetch(url.replace('digits.txt', name))), never)
  }
})

it('the cluster is asked once about a session that is not in this process, and not for a file of this node', async t => {
  const { a, b } = await cluster(t)
  const user = roamingUser()
  const { url } = await put(user.at(a))
  const asked = [a, b].map(({ coordinator }) => countEnters(coordinator))
  for (let round = 0; round < 3; round++) {
    for (const node of [a, b]) assert.equal((await user.at(node).fetch(url)).status, 200)
  }
  assert.deepEqual(asked, [{ enters: 0 }, { enters: 1 }])
})

it('a request for a file leaves with its response, and keeps no session', async t => {
  const { all, a, b, cacheDir } = await cluster(t)
  const user = roamingUser()
  const { url } = await put(user.at(a))
  assert.equal(await (await user.at(b).fetch(url)).text(), DIGITS)
  assert.equal(b.gradio.stats().open, 0)
  await all.clock.advance('60m')
  await until(() => a.gradio.stats().sessions + b.gradio.stats().sessions === 0, 'the session has ended')
  await until(() => filesBelow(cacheDir).length === 0, 'its files are gone')
  for (const node of all) assert.equal((await user.at(node).fetch(url)).status, 404)
})

it('after the end of the session, and after the file was deleted, no node has it', async t => {
  const { all, a, b, cacheDir } = await cluster(t)
  const user = roamingUser()
  const [file, other] = [await put(user.at(a)), await put(user.at(b), 'other.txt')]
  for (const node of all) for (const { url } of [file, other]) assert.ok((await user.at(node).fetch(url)).ok)
  unlinkSync(file.path)
  for (const node of all) assert.equal((await user.at(node).fetch(file.url)).status, 404)
  await user.at(b).fetch('/end', { method: 'POST' })
  await until(() => filesBelow(cacheDir).length === 0, 'all files are gone')
  for (const node of all) assert.equal((await user.at(node).fetch(other.url)).status, 404)
})

it('a node that has closed has removed its files', async t => {
  const { a, b, cacheDir } = await cluster(t)
  const user = roamingUser()
  const { url } = await put(user.at(a))
  assert.ok((await user.at(b).fetch(url)).ok)
  await a.gradio.close()
  assert.equal((await user.at(b).fetch(url)).status, 404)
  assert.deepEqual(readdirSync(cacheDir), [])
})

it('without a cluster, no other directory is searched', async t => {
  const { visitor, gradio, cacheDir } = await saveSite(t, express)
  const user = visitor()
  const { url } = await save(user)
  const id = gradio.sessions()[0]?.id as string
  const saved = join(leaveInstance(cacheDir), id, 'saved')
  mkdirSync(saved, { recursive: true })
  writeFileSync(join(saved, 'other.txt'), DIGITS)
  assert.equal((await user.fetch(url)).status, 200)
  assert.equal((await user.fetch(url.replace('digits', 'other'))).status, 404)
  await gradio.endSession(id)
  assert.equal((await user.fetch(url)).status, 404)
  assert.equal(gradio.stats().open, 0)
})
