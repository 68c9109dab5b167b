import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as elapsed } from 'node:timers/promises'
import { visitor } from 'gradio-state/testing'
import { io, type Socket } from 'socket.io-client'
import { expectCleanStop } from '../support/recipes/cleanup.ts'
import { follow } from '../support/recipes/folder.ts'
import { start } from '../support/recipes/program.ts'

for (const transports of [['websocket'], ['polling', 'websocket']]) {
  test(`Socket.IO, by ${transports.join(' and ')}: two tabs share their notes, and the last that closes unloads`, async t => {
    const program = await start(t, await follow('socket-io'), 'node server.js')
    const user = visitor(program.origin)
    assert.match(await (await user.fetch('/')).text(), /socket\.io\.js/)
    const cookie = [...user.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const open = () => io(program.origin, { transports, forceNew: true, extraHeaders: { cookie } })

    const [first, second] = [open(), open()]
    t.after(() => {
      first.disconnect()
      second.disconnect()
    })
    assert.deepEqual(await Promise.all([notesOf(first), notesOf(second)]), [[], []])
    // The sockets count as pages, so the user is still here when another page of the app is closed.
    await (await user.openPage()).close()
    await elapsed(4_000)
    assert.doesNotMatch(program.output(), /UNLOAD/)
    first.emit('add', 'milk')
    assert.deepEqual(await Promise.all([notesOf(first), notesOf(second)]), [['milk'], ['milk']])

    first.disconnect()
    second.emit('add', 'bread')
    assert.deepEqual(await notesOf(second), ['milk', 'bread'])
    assert.doesNotMatch(program.output(), /UNLOAD/)
    second.disconnect()
    await program.printed('UNLOAD')

    const again = open()
    t.after(() => again.disconnect())
    assert.deepEqual(await notesOf(again), ['milk', 'bread'])
    await expectCleanStop(program, '2 notes')
  })
}

test('Socket.IO: without track(), closing another page unloads the session while the socket is open', async t => {
  const folder = await follow('socket-io')
  const file = join(folder.path, 'server.js')
  const source = await readFile(file, 'utf8')
  const untracked = source.replace('  gradio.track(socket.request, socket)\n', '')
  assert.notEqual(untracked, source)
  await writeFile(file, untracked)
  const program = await start(t, folder, 'node server.js')
  const user = visitor(program.origin)
  await user.fetch('/')
  const cookie = [...user.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const socket = io(program.origin, { transports: ['websocket'], extraHeaders: { cookie } })
  t.after(() => socket.disconnect())
  assert.deepEqual(await notesOf(socket), [])
  await (await user.openPage()).close()
  await program.printed('UNLOAD')
  assert.equal(socket.connected, true)
})

async function notesOf(socket: Socket): Promise<unknown> {
  const [notes] = await once(socket as unknown as NodeJS.EventEmitter, 'notes')
  return notes
}
