import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, it } from 'node:test'
import { open, sessionOf, unloadDelayPasses, useBrowser, useExample } from '../support/browser/browser.ts'

declare global {
  interface Window {
    answers: Promise<{ pictures: object[] }[]>
  }
}

const script = `
  import { connect } from '/gradio_api/client.js'
  async function generate() {
    const response = await fetch('/generate', { method: 'POST' })
    return response.json()
  }
  window.answers = connect().then(() => Promise.all(Array.from({ length: 5 }, generate)))
`

describe('a first visit', () => {
  const browser = useBrowser()
  const example = useExample()

  it('is one session, even when five requests are sent right after connect()', async () => {
    const context = await browser.newContext()
    const tab = await context.newPage()
    // Replaces the example's own script, so that the requests are sent as early as possible.
    await tab.route('**/app.js', route => route.fulfill({ contentType: 'text/javascript', body: script }))
    await tab.goto(example().url)
    const answers = await tab.evaluate(() => window.answers)
    assert.deepEqual(answers.map(({ pictures }) => pictures.length).sort(), [1, 2, 3, 4, 5])
    await tab.unrouteAll()

    const second = await open(context, example().url)
    const id = await sessionOf(example(), second)
    assert.equal((await readdir(path.join(example().pictureDir, id))).length, 5)
    await unloadDelayPasses(example())
    // The sessions of this user and of the other one, who has left.
    assert.equal(example().count('LOAD '), 2)
    assert.deepEqual(await readdir(example().pictureDir), [id])
    await context.close()
  })
})
