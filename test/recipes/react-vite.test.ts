import assert from 'node:assert/strict'
import { test } from 'node:test'
import { useBrowser } from '../support/browser/browser.ts'
import { expectGalleryInBrowser } from '../support/recipes/browser-gallery.ts'
import { follow } from '../support/recipes/folder.ts'
import { start } from '../support/recipes/program.ts'

const browser = useBrowser()

test('React and Vite: with the dev server, and built', async t => {
  const folder = await follow('react-vite')
  const api = await start(t, folder, 'node server.js')
  const vite = await start(t, folder, 'npx vite', {
    ready: 'Local:',
    env: { PORT: String(api.port), NO_COLOR: '1' },
  })
  const [, origin] = /Local:\s+(http:\S+)/.exec(vite.output()) ?? []
  assert.ok(origin !== undefined, vite.output())
  await expectGalleryInBrowser(t, browser, api, origin)

  await folder.run('npx vite build')
  await expectGalleryInBrowser(t, browser, await start(t, folder, 'node server.js'))
})
