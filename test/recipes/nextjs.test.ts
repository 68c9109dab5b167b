import { test } from 'node:test'
import { useBrowser } from '../support/browser/browser.ts'
import { expectGalleryInBrowser } from '../support/recipes/browser-gallery.ts'
import { follow } from '../support/recipes/folder.ts'
import { start } from '../support/recipes/program.ts'

const browser = useBrowser()

test('Next.js: in development and in production', async t => {
  const folder = await follow('nextjs')
  const env = { NEXT_TELEMETRY_DISABLED: '1' }
  await expectGalleryInBrowser(t, browser, await start(t, folder, 'node server.js', { env }))
  await folder.run('npx next build', env)
  await expectGalleryInBrowser(
    t,
    browser,
    await start(t, folder, 'NODE_ENV=production node server.js', { env }),
  )
})
