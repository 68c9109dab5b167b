import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { TestBrowser } from '../browser/browser.ts'
import { expectCleanStop } from './cleanup.ts'
import { png } from './gallery.ts'
import type { Program } from './program.ts'

/** A picture that takes a while to be sent. Decoders ignore what follows the picture. */
const large = Buffer.concat([png, Buffer.alloc(4_000_000)])

/** What the recipes with React do in a browser. */
export async function expectGalleryInBrowser(
  t: TestContext,
  browser: TestBrowser,
  program: Program,
  origin = program.origin,
): Promise<void> {
  const context = await browser.newContext()
  t.after(() => context.close())
  const tab = await context.newPage()
  // The browser may report a fast upload's progress and its end together, and React then renders the end alone.
  const network = await context.newCDPSession(tab)
  await network.send('Network.enable')
  await network.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 2_000_000,
  })
  const sockets: string[] = []
  tab.on('websocket', socket => sockets.push(socket.url()))
  await tab.goto(origin)
  // Its handler is added when React has rendered in the browser.
  await tab.waitForLoadState('networkidle')
  await tab.evaluate(() => {
    const observer = new MutationObserver(() => {
      if (document.querySelector('progress')) document.body.dataset.progress = 'seen'
    })
    observer.observe(document.body, { childList: true, subtree: true })
  })
  await tab.setInputFiles('input', { name: 'ein Bild ü.png', mimeType: 'image/png', buffer: large })
  await tab.waitForSelector('img')
  assert.equal(await tab.getAttribute('body', 'data-progress'), 'seen')
  assert.ok(
    sockets.some(url => url.includes('/gradio_api/heartbeat/')),
    sockets.join(),
  )
  await tab.reload()
  await tab.waitForSelector('img')
  assert.equal(await tab.$eval('img', image => (image as HTMLImageElement).decode().then(() => true)), true)
  assert.doesNotMatch(program.output(), /UNLOAD/)
  await tab.close()
  await program.printed('UNLOAD')
  await expectCleanStop(program, '1 uploads')
}
