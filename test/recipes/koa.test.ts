import { test } from 'node:test'
import { follow } from '../support/recipes/folder.ts'
import { expectGallery } from '../support/recipes/gallery.ts'
import { start } from '../support/recipes/program.ts'

test('Koa', async t => {
  const program = await start(t, await follow('koa'), 'node server.js')
  await expectGallery(program, () => program.interrupt())
})
