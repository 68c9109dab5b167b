import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
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

async function notesOf(socket: Socket): Promise<unknown> {
  const [notes] = await once(socket as unknown as NodeJS.EventEmitter, 'notes')
  return notes
}
