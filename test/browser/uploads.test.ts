import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { APPS, open, sessionOf, until, useBrowser, useExample } from '../support/browser/browser.ts'
import { filesBelow } from '../support/files/disk.ts'

/** Long enough for a slow machine to open a page again within it. */
const GRACE_PERIOD = '8'

describe("pictures of a user's own", { concurrency: true }, () => {
  for (const app of APPS) {
    describe(`on ${app}`, { concurrency: true }, async () => {
      const cacheDir = await mkdtemp(path.join(tmpdir(), 'gradio-state-browser-'))
      after(() => rm(cacheDir, { recursive: true, force: true }))
      const browser = useBrowser()
      const example = useExample({ GRACE_PERIOD, CACHE_DIR: cacheDir }, app)

      it('drops pictures, finds them again within the grace period, and leaves none behind', async () => {
        const [context, others] = [await browser.newContext(), await browser.newContext()]
        const tab = await open(context, example().url)
        const id = await sessionOf(example(), tab)
        const color = { r: 255, g: 0, b: 0 }
        const png = await sharp({ create: { width: 40, height: 40, channels: 3, background: color } })
          .png()
          .toBuffer()
        await drop(tab, { 'own 1.png': png, '二.png': png })
        const urls = await shown(tab, 2)
        assert.equal(await tab.textContent('#own-status'), 'Added 2 pictures.')
        assert.equal(filesOf(cacheDir, id).length, 2)
        const stranger = await open(others, example().url)
        for (const url of urls) assert.equal(await statusOf(stranger, url), 404)

        await tab.close()
        await example().line(`UNLOAD ${id}`)
        const back = await open(context, example().url)
        assert.deepEqual(await shown(back, 2), urls)
        assert.equal(example().count(`LOAD ${id}`), 2)
        await context.close()
        await example().line(`ENDED ${id}`)
        await until(() => filesOf(cacheDir, id).length === 0, 'the pictures are gone')
        await others.close()
      })

      it('rejects files that are not images and files that are too large, and keeps the existing ones', async () => {
        const context = await browser.newContext()
        const tab = await open(context, example().url)
        const id = await sessionOf(example(), tab)
        await drop(tab, { 'notes.txt': Buffer.from('no picture') }, 'text/plain')
        await until(
          async () => /not a picture/.test((await tab.textContent('#own-status')) ?? ''),
          'the refusal',
        )
        await drop(tab, { 'fake.png': Buffer.alloc(1000) })
        await until(
          async () => /“fake.png” is not a picture/.test((await tab.textContent('#own-status')) ?? ''),
          'the refusal of bytes that are no picture',
        )
        assert.deepEqual(filesOf(cacheDir, id), [])
        await drop(tab, { 'large.png': 11_000_000 })
        await until(
          async () => /at most 10 MB/.test((await tab.textContent('#own-status')) ?? ''),
          'the limit',
        )
        assert.deepEqual(await shown(tab, 0), [])
        await context.close()
      })
    })
  }
})

/** Drops files on the page, as from a file manager: of the bytes, or of as many zeros. */
function drop(tab: Page, files: Record<string, Buffer | number>, type = 'image/png'): Promise<void> {
  const named = Object.entries(files).map(
    ([name, content]) => [name, typeof content === 'number' ? content : content.toString('base64')] as const,
  )
  return tab.evaluate(
    ([named, type]) => {
      const data = new DataTransfer()
      for (const [name, content] of named) {
        const bytes =
          typeof content === 'number'
            ? new Uint8Array(content)
            : Uint8Array.from(atob(content), char => char.charCodeAt(0))
        data.items.add(new File([bytes], name, { type }))
      }
      const event = new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: data })
      document.querySelector('#drop')?.dispatchEvent(event)
    },
    [named, type] as const,
  )
}

/** The URLs of the user's own pictures, once the page shows this many. */
async function shown(tab: Page, count: number): Promise<string[]> {
  const images = tab.locator('#uploads img')
  await until(async () => (await images.count()) === count, `${count} pictures`)
  await tab.waitForFunction(() =>
    [...document.querySelectorAll<HTMLImageElement>('#uploads img')].every(
      image => image.complete && image.naturalWidth > 0,
    ),
  )
  return images.evaluateAll(images => images.map(image => (image as HTMLImageElement).src).sort())
}

function statusOf(tab: Page, url: string): Promise<number> {
  return tab.evaluate(async url => (await fetch(url)).status, url)
}

/** The files that the library stores for a session. */
function filesOf(cacheDir: string, id: string): string[] {
  return filesBelow(cacheDir).filter(file => file.includes(id) && file.endsWith('.png'))
}
