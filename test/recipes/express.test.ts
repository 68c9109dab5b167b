import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from '../support/recipes/folder.ts'
import { expectGallery } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'

test('Express and TypeScript: compiles, and runs compiled and with tsx', async t => {
  const folder = await follow('express-typescript')
  assert.equal(await folder.run('npx tsc'), '')
  const compiled = await start(t, folder, 'node dist/server.js')
  await expectGallery(compiled, () => compiled.kill('SIGTERM'))
  const watched = await start(t, folder, 'npx tsx watch server.ts')
  await expectGallery(watched, () => watched.interrupt())
})

test('Express and CommonJS', async t => {
  const folder = await follow('express-commonjs')
  const program = await start(t, folder, 'node server.js')
  await expectGallery(program, () => program.interrupt())
})
