// Takes the pictures in docs/inspector: without sessions, with 10,000, and of one session; light and dark, at two widths.
//   npm run generate && npx tsx scripts/inspector-screenshots.ts

import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { chromium } from 'playwright-core'
import sharp from 'sharp'
import { gradioState, type RequestState } from '../lib/index.ts'
import { fakeClock, visitor } from '../lib/testing/index.ts'
import { beginSessions, identifyStub } from '../test/support/inspector/inspected.ts'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const FOLDER = 'docs/inspector'
const WIDTHS = { 390: 844, 1280: 900 }
const cacheDir = mkdtempSync(join(tmpdir(), 'gradio-state-screenshots-'))

mkdirSync(FOLDER, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
})
try {
  await take('empty', (await serve(0)).url)
  const { url, id } = await serve(10_000)
  await take('full', url)
  await take('session', `${url}#session=${id}`)
} finally {
  await browser.close()
  rmSync(cacheDir, { recursive: true, force: true })
}
process.exit()

/** Serves the inspector of an app with so many sessions. */
async function serve(sessions: number): Promise<{ url: string; id: string | undefined }> {
  const clock = fakeClock()
  const gradio = gradioState({
    ...identifyStub,
    clock,
    cacheDir,
    maxSessions: 12_000,
    maxCacheBytes: '20mb',
    maxSessionBytes: '4mb',
    gracePeriod: '6h',
    info: req => req.headers['x-info'],
  })
  gradio.on('error', () => {})
  const pictures = gradio.state<number[]>('pictures', {
    value: () => [],
    timeToLive: '20m',
    deleteCallback: freePictures,
  })
  const settings = gradio.state('settings', { value: { theme: 'dark' } })
  const app = express()
  app.use(gradio)
  const inspector = gradio.inspector({
    authorize: () => true,
    describe: session => ({ pictures: session.get(pictures)?.length, settings: session.get(settings) }),
  })
  app.use('/sessions', inspector)
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`

  await beginSessions(gradio, sessions, async (state, number) => {
    await use(state, number)
    if (number % 7 === 0) await clock.advance(1)
  })
  gradio.ended(() => new Promise(() => {}))
  const all = gradio.sessions().map(({ id }) => id)
  for (const id of [all.at(-9), all.at(-31)]) if (id !== undefined) void gradio.endSession(id)
  if (sessions > 0)
    for (const number of [sessions, sessions - 2, sessions - 3, sessions - 5]) {
      const user = visitor(origin)
      const { fetch } = user
      user.fetch = (path, init) =>
        fetch(path, { ...init, headers: { ...init?.headers, 'x-user': `user-${number}` } })
      await user.openPage()
    }
  return { url: `${origin}/sessions`, id: all.at(-1) }

  async function use(state: RequestState, number: number): Promise<void> {
    state.update(pictures, list => [...list, number])
    if (number % 2 === 0) state.get(settings)
    if (number % 1250 === 0) await state.saveFile('x'.repeat(number * 130), { name: 'upload.png' })
    if (number % 2500 === 0) await state.saveFile('x'.repeat(number * 40), { name: `picture ${number}.webp` })
  }
}

function freePictures(pictures: number[]): void {
  if ((pictures[0] ?? 0) % 1500 === 0) throw new Error('The model server does not respond')
}

async function take(name: string, url: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({ reducedMotion: 'reduce', colorScheme })
    for (const [width, height] of Object.entries(WIDTHS)) {
      const page = await context.newPage()
      await page.setViewportSize({ width: Number(width), height })
      await page.goto(url)
      await page.getByText('Live', { exact: true }).waitFor()
      const picture = await page.screenshot()
      await sharp(picture)
        .png({ palette: true, effort: 10, compressionLevel: 9 })
        .toFile(`${FOLDER}/${name}-${width}-${colorScheme}.png`)
    }
    await context.close()
  }
}
