// Requests that wait for their turn on one connection. Node.js emits nothing on their responses when the connection is lost.

import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { it } from 'node:test'
import express from 'express'
import { save, saveSite } from '../support/files/save-site.ts'
import { forEachExpress, idle, site, until } from '../support/http/express.ts'
import { pipelined } from '../support/http/pipelined.ts'

forEachExpress((_name, express) => {
  it('their entries end with the connection, so that their sessions end and others find room', async t => {
    let begun = 0
    const { gradio, clock, visitor, port } = await site(t, express, {
      session: false,
      options: { maxSessions: 2, gracePeriod: 60 },
      routes(app) {
        app.use((_req, _res, next) => {
          begun++
          next()
        })
        app.get('/id', (req, res) => res.send(req.gradioState.id))
        app.get('/wait', req => void req.gradioState.id)
      },
    })
    const log: string[] = []
    gradio.unload(({ reason }) => log.push(`unload ${reason}`))
    gradio.ended(({ reason }) => log.push(`ended ${reason}`))
    const users = [visitor(), visitor()]
    for (const user of users) {
      assert.equal((await user.fetch('/id')).status, 200)
      begun = 0
      const socket = await pipelined(t, port, user, [
        'POST /gradio_api/heartbeat/page?n=1',
        'GET /wait',
        'POST /gradio_api/heartbeat/page?n=1',
        'POST /gradio_api/heartbeat/page?n=1',
        'GET /id',
        'GET /wait',
      ])
      await until(() => begun === 3)
      socket.destroy()
    }
    // By then, a page whose socket never opens has left.
    await clock.advance(95)
    await idle(gradio)
    await clock.advance(60)
    assert.deepEqual(log.sort(), [
      'ended disconnected',
      'ended disconnected',
      'unload disconnected',
      'unload disconnected',
    ])
    assert.deepEqual([gradio.stats().sessions, (await visitor().fetch('/id')).status], [0, 200])
  })

  it('a long response that is tracked there counts until the connection is closed', async t => {
    let begun = 0
    const { gradio, visitor, port } = await site(t, express, {
      routes(app, gradio) {
        app.get('/id', (req, res) => res.send(req.gradioState.id))
        app.get('/events', (req, res) => {
          gradio.track(req, res)
          res.type('text/event-stream').flushHeaders()
          begun++
        })
      },
    })
    const user = visitor()
    await user.fetch('/id')
    const socket = await pipelined(t, port, user, ['GET /events', 'GET /events'])
    await until(() => begun === 2)
    assert.equal(gradio.stats().pages, 2)
    socket.destroy()
    await until(() => gradio.stats().pages === 0)
  })

  it('files that are served there are opened in their turn, and neither kept from the sweep nor left open', async t => {
    const { clock, visitor, port, gradio, server } = await saveSite(t, express, {
      options: { deleteCache: [10, 60] },
    })
    let begun = 0
    server.on('request', () => begun++)
    const user = visitor()
    const { url, path } = await save(user, 'large.bin', Buffer.alloc(5_000_000))
    begun = 0
    // The first response is never read, so the second one has to wait.
    const socket = await pipelined(t, port, user, [`GET ${url}`, `GET ${url}`, `GET ${url}`])
    socket.pause()
    await until(() => begun === 3 && openFiles(path) === 1)
    assert.equal((await (await user.fetch(url)).arrayBuffer()).byteLength, 5_000_000)
    await until(() => openFiles(path) <= 1)
    assert.equal(openFiles(path), 1)
    await clock.advance(120)
    assert.equal(gradio.stats().files, 1)
    socket.destroy()
    await until(() => openFiles(path) === 0)
    await clock.advance(120)
    await until(() => gradio.stats().files === 0)
  })
})

it('files are sent in their turn, and at most 1,000 wait for it: 429', async t => {
  let held: ServerResponse | undefined
  const { visitor, port, sockets } = await saveSite(t, express, {
    before: [
      (req, res, next) => {
        if (req.url !== '/held') return next()
        held = res
      },
    ],
  })
  const user = visitor()
  const { url, path } = await save(user, 'a.txt', 'the text')
  const socket = await pipelined(t, port, user, ['GET /held', ...Array(1010).fill(`GET ${url}`)])
  let received = ''
  socket.on('data', data => {
    received += data
  })
  await until(() => [...sockets].some(({ bytesRead }) => bytesRead === socket.bytesWritten))
  assert.equal(openFiles(path), 0)
  held?.end()
  const count = (part: string) => received.split(part).length - 1
  await until(() => count('the text') + count('TOO_MANY_WAITING') >= 1010)
  assert.deepEqual([count('the text'), count('HTTP/1.1 429')], [1000, 10])
})

/** How many descriptors of this process refer to that file. */
function openFiles(path: string): number {
  return readdirSync('/proc/self/fd').filter(descriptor => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === path
    } catch {
      // The descriptor that lists the directory is closed.
      return false
    }
  }).length
}
