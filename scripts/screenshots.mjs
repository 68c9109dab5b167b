// Takes docs/screenshot-390.png and docs/screenshot-1280.png of the example app:
//   npm run build && node scripts/screenshots.mjs

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const widths = { 390: 844, 1280: 900 }
const pictures = 13

const folder = mkdtempSync(join(tmpdir(), 'gradio-state-screenshots-'))
const app = spawn(process.execPath, ['--import', 'tsx', 'example-app/server.ts'], {
  env: { ...process.env, PORT: '0', PICTURE_DIR: folder, TIME_TO_LIVE: '1h' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
})

try {
  const url = await new Promise((resolve, reject) => {
    app.once('exit', code => reject(new Error(`The example app ended: ${code}`)))
    createInterface(app.stdout).on('line', line => {
      if (line.startsWith('Listening on ')) resolve(line.replace('Listening on ', ''))
    })
  })
  const context = await browser.newContext({ reducedMotion: 'reduce', colorScheme: 'light' })
  for (const [width, height] of Object.entries(widths)) {
    const tab = await context.newPage()
    await tab.setViewportSize({ width: Number(width), height })
    await tab.goto(url)
    const drawn = tab.locator('#gallery button img')
    await drawn.first().waitFor()
    for (let count = await drawn.count(); count < pictures; count++) {
      await tab.click('#generate')
      await drawn.nth(count).waitFor()
    }
    await tab.mouse.move(0, 0)
    await tab.waitForFunction(() => [...document.images].every(image => image.complete))
    await tab.waitForFunction(() => document.querySelector('#values').textContent === '1')
    await tab.screenshot({ path: `docs/screenshot-${width}.png`, fullPage: true })
  }
} finally {
  await browser.close()
  app.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
