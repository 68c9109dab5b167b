// What Chromium does with a file of the library that is opened in a tab of its own.

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { CachedFile } from '../../lib/index.ts'
import { useBrowser } from '../support/browser/browser.ts'
import { scratch } from '../support/files/disk.ts'
import { site } from '../support/http/express.ts'

const browser = useBrowser({ args: ['--autoplay-policy=no-user-gesture-required'] })

/** A tab whose user has such a file, and the URL of the file. */
async function saved(t: TestContext, name: string, content: Buffer) {
  const { origin } = await site(t, express, {
    session: false,
    options: { cacheDir: scratch(t) },
    routes(app) {
      app.get('/', (req, res, next) => {
        req.gradioState.saveFile(content, { name }).then(file => res.json(file), next)
      })
    },
  })
  const context = await browser.newContext()
  t.after(() => context.close())
  const tab = await context.newPage()
  const file = (await (await tab.goto(origin))?.json()) as CachedFile
  return { tab, url: origin + file.url }
}

describe('a file that is opened in its own tab', { timeout: 240_000 }, () => {
  it('a sound plays', async t => {
    const { tab, url } = await saved(t, 'sound.wav', wav())
    await tab.goto(url)
    // The sandboxed document runs no timers, so it is observed from outside.
    const look = () =>
      tab.evaluate(() => {
        const { duration, error, readyState } = document.querySelector('video') as HTMLVideoElement
        return { duration, error: error?.message, isReady: readyState >= 2 }
      })
    for (let tries = 0; tries < 1000; tries++) {
      const { error, isReady } = await look()
      if (isReady || error) break
      await tab.waitForTimeout(20)
    }
    assert.deepEqual(await look(), { duration: 1, error: undefined, isReady: true })
  })

  it('a picture is displayed', async t => {
    const pixel = 'R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=='
    const { tab, url } = await saved(t, 'pixel.gif', Buffer.from(pixel, 'base64'))
    await tab.goto(url)
    assert.equal(await tab.evaluate(() => document.images[0]?.naturalWidth), 1)
  })

  for (const name of ['page.html', 'drawing.svg', 'paper.pdf'])
    it(`${name} is downloaded, and runs no script`, async t => {
      const script = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="run"</script></svg>'
      const { tab, url } = await saved(t, name, Buffer.from(script))
      const downloading = tab.waitForEvent('download')
      await tab.goto(url).catch(() => {})
      assert.equal((await downloading).suggestedFilename(), name)
    })
})

/** A second of silence: 8000 samples of a byte (RIFF WAVE, PCM). */
function wav(): Buffer {
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + 8000, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(8000, 24)
  head.writeUInt32LE(8000, 28)
  head.writeUInt16LE(1, 32)
  head.writeUInt16LE(8, 34)
  head.write('data', 36)
  head.writeUInt32LE(8000, 40)
  return Buffer.concat([head, Buffer.alloc(8000, 128)])
}
