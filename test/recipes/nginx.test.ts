import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from '../support/recipes/folder.ts'
import { expectGallery } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'
import { nginx } from '../support/servers/nginx.ts'

test('nginx: the app is reached through its configuration', async t => {
  const folder = await follow('nginx')
  const program = await start(t, folder, 'node server.js')
  const configuration = folder.recipe.files.get('gallery.conf') ?? ''
  const port = await nginx(t, port =>
    configuration
      .replace('listen 8080', `listen 127.0.0.1:${port}`)
      .replace('127.0.0.1:3000', `127.0.0.1:${program.port}`),
  )
  const large = new FormData()
  large.append('files', new Blob([Buffer.alloc(3_000_000)]), 'large.png')
  const origin = `http://127.0.0.1:${port}`
  assert.equal((await fetch(`${origin}/upload`, { method: 'POST', body: large })).status, 200)
  await expectGallery({ ...program, origin }, () => program.interrupt())
})
