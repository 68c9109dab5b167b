import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from '../support/recipes/folder.ts'
import { expectGallery } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'

test('NestJS: compiles and runs', async t => {
  const folder = await follow('nestjs')
  assert.equal(await folder.run('npx tsc'), '')
  const program = await start(t, folder, 'node dist/main.js')
  await expectGallery(program, () => program.kill('SIGTERM'))
})
