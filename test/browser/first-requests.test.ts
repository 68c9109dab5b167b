import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { describe, it } from 'node:test'
import { open, sessionOf, unloadDelayPasses, useBrowser, useExample } from './support.ts'

describe('a first visit', () => {
  const browser = useBrowser()
  const example = useExample()

  it('is one session, also when five requests leave right after connect()', async () => {
    const context = await browser.newContext()
    const tab = await context.newPage()
    // The example's own script stays away: it would make the first request by itself.
    await tab.route('**/app.js', route => route.fulfill({ contentType: 'text/javascript', body: '' }))
    await tab.goto(example().url)
    assert.deepEqual(await context.cookies(), [])
    const answers = await tab.evaluate(async () => {
      const client: string = '/gradio_api/client.js'
      const { connect } = await import(client)
      await connect()
      const five = Array.from({ length: 5 }, () => fetch('/generate', { method: 'POST' }))
      return Promise.all((await Promise.all(five)).map(response => response.json()))
    })
    assert.deepEqual(answers.map(({ pictures }) => pictures.length).sort(), [1, 2, 3, 4, 5])
    await tab.unrouteAll()

    const second = await open(context, example().url)
    const id = await sessionOf(example(), second)
    assert.equal((await readdir(path.join(example().pictureDir, id))).length, 5)
    await unloadDelayPasses(example())
    // This user's and the other's, who has left.
    assert.equal(example().count('LOAD '), 2)
    assert.deepEqual(await readdir(example().pictureDir), [id])
    await context.close()
  })
})
