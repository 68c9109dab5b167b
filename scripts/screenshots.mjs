// Takes docs/screenshot-390.png and docs/screenshot-1280.png of the example app, as a user sees it who comes back:
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
  env: { ...process.env, PORT: '0', PICTURE_DIR: folder },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
})

try {
  const output = createInterface(app.stdout)
  const lineThatStarts = start =>
    new Promise((resolve, reject) => {
      app.once('exit', code => reject(new Error(`The example app ended: ${code}`)))
      output.on('line', line => line.startsWith(start) && resolve(line))
    })
  const url = (await lineThatStarts('Listening on ')).replace('Listening on ', '')
  for (const [width, height] of Object.entries(widths)) {
    const viewport = { width: Number(width), height }
    const context = await browser.newContext({ reducedMotion: 'reduce', colorScheme: 'light', viewport })
    const before = await context.newPage()
    await before.goto(url)
    const drawn = before.locator('#gallery button img')
    await drawn.first().waitFor()
    for (let count = await drawn.count(); count < pictures; count++) {
      await before.click('#generate')
      await drawn.nth(count).waitFor()
    }
    const unloaded = lineThatStarts('UNLOAD')
    await before.close()
    await unloaded

    const tab = await context.newPage()
    await tab.goto(url)
    await tab.waitForSelector('#away:not([hidden])')
    await tab.waitForFunction(() => [...document.images].every(image => image.complete))
    await tab.screenshot({ path: `docs/screenshot-${width}.png`, fullPage: true })
  }
} finally {
  await browser.close()
  app.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}
