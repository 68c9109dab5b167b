import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { visitor } from 'gradio-state/testing'
import { type Folder, follow } from '../support/recipes/folder.ts'
import { start } from '../support/recipes/program.ts'
import { freePort } from '../support/servers/free-port.ts'

const DELETED = 'DELETED 1 visits: shutdown\n'

let folder: Folder
before(async () => {
  folder = await follow('shutdown')
})

test('node server.js runs the callbacks at Ctrl+C', async t => {
  const program = await start(t, folder, 'node server.js')
  const tab = await openTab(program.origin)
  program.interrupt()
  assert.deepEqual(await program.exited, [0, null])
  assert.equal((await tab.closed).code, 1012)
  assert.ok(program.output().endsWith(DELETED), program.output())
})

const watchers = [
  'node --watch server.js',
  'npx tsx watch server.js',
  'npx nodemon --signal SIGTERM server.js',
]
for (const command of watchers) {
  test(`${command} runs the callbacks at a change and at Ctrl+C`, async t => {
    const program = await start(t, folder, command)
    await openTab(program.origin)
    await appendFile(join(folder.path, 'server.js'), '\n// A change.\n')
    await program.printed(DELETED)
    await program.printed('Listening', 2)
    await openTab(program.origin)
    program.interrupt()
    await program.exited
    assert.equal(program.output().split(DELETED).length, 3, program.output())
  })
}

test('PM2 runs the callbacks when it stops the app', async t => {
  const port = await freePort()
  const env = { PORT: String(port), PM2_HOME: join(folder.path, '.pm2') }
  t.after(() => folder.run('npx pm2 kill', env))
  await folder.run('npx pm2 start ecosystem.config.cjs', env)
  await untilItListens(() => openTab(`http://localhost:${port}`))
  await folder.run('npx pm2 stop app', env)
  const log = await folder.run('npx pm2 logs app --nostream', env)
  assert.match(log, /DELETED 1 visits: shutdown\n/)
})

/** A user who opens the page, and leaves it open. */
async function openTab(origin: string) {
  const user = visitor(origin)
  assert.match(await (await user.fetch('/')).text(), /Your visits: 1/)
  return user.openPage()
}

async function untilItListens<T>(request: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await request()
    } catch {
      await sleep(50)
    }
  }
}
