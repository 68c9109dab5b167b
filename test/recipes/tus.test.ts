import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { visitor } from 'gradio-state/testing'
import { expectCleanStop } from '../support/recipes/cleanup.ts'
import { follow } from '../support/recipes/folder.ts'
import { png } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'

const tus = { 'Tus-Resumable': '1.0.0' }

test('tus: an upload continues, moves into the session, and an incomplete one is deleted with the session', async t => {
  const folder = await follow('tus')
  const program = await start(t, folder, 'node server.js')
  const user = visitor(program.origin)
  assert.match(await (await user.fetch('/')).text(), /tus\.min\.js/)
  assert.equal((await user.fetch('/tus-js-client/tus.min.js')).status, 200)
  const tab = await user.openPage()

  const create = async (name: string) => {
    const metadata = `filename ${Buffer.from(name).toString('base64')}`
    const headers = { ...tus, 'Upload-Length': String(png.length), 'Upload-Metadata': metadata }
    const created = await user.fetch('/tus', { method: 'POST', headers })
    assert.equal(created.status, 201)
    return created.headers.get('location') ?? ''
  }
  const send = async (url: string, from: number, to: number) => {
    const headers = {
      ...tus,
      'Upload-Offset': String(from),
      'Content-Type': 'application/offset+octet-stream',
    }
    const sent = await user.fetch(url, { method: 'PATCH', headers, body: png.subarray(from, to) })
    assert.equal(sent.status, 204)
  }

  const complete = await create('ein Bild ü.png')
  await send(complete, 0, 30)
  const head = await user.fetch(complete, { method: 'HEAD', headers: tus })
  assert.equal(head.headers.get('upload-offset'), '30')
  assert.doesNotMatch(await (await user.fetch('/')).text(), /<img/)
  await send(complete, 30, png.length)
  const [, url = ''] = /<img src="([^"]+)"/.exec(await (await user.fetch('/')).text()) ?? []
  assert.deepEqual(Buffer.from(await (await user.fetch(url)).arrayBuffer()), png)

  await send(await create('incomplete.png'), 0, 30)
  assert.notDeepEqual(await readdir(join(folder.path, 'incomplete')), [])
  await tab.close()
  await program.printed('UNLOAD')
  await expectCleanStop(program, '1 uploads')
  assert.deepEqual(await readdir(join(folder.path, 'incomplete')), [])
})
