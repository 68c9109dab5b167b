import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { visitor } from 'gradio-state/testing'
import { read, root } from '../support/package/files.ts'
import { freePort } from '../support/servers/free-port.ts'

test('the quick start of the README serves a page and an upload, and cleans up at Ctrl+C', async t => {
  const [, program = ''] = /^```js\n(.*?)^```/ms.exec(read('README.md')) ?? []
  const port = await freePort()
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
  })
  const ended = once(child, 'close')

  const user = visitor(`http://127.0.0.1:${port}`)
  const page = await untilItListens(() => user.fetch('/'))
  assert.match(await page.text(), /client\.js/)
  const tab = await user.openPage()
  const again = await user.fetch('/')
  assert.match(await again.text(), /Your visits: 2</)

  const body = new FormData()
  body.set('picture', new Blob(['a picture']), 'picture.png')
  const uploaded = await user.fetch('/upload', { method: 'POST', body })
  assert.equal(uploaded.status, 303)
  const gallery = await user.fetch(uploaded.headers.get('location') ?? '')
  const [, url = ''] = /<img src="([^"]+)"/.exec(await gallery.text()) ?? []
  assert.equal(await (await user.fetch(url)).text(), 'a picture')

  child.kill('SIGINT')
  assert.deepEqual(await ended, [0, null])
  assert.equal((await tab.closed).code, 1012)
  assert.match(output, new RegExp(`^Open http://localhost:${port} `))
  assert.match(output, /UNLOAD [\w-]{36}\n/)
  assert.match(output, /DELETED 3 visits: shutdown\n/)
})

async function untilItListens<T>(request: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await request()
    } catch {
      await sleep(50)
    }
  }
}
