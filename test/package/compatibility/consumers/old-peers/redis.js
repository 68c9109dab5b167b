// Two apps on a real Redis, with a client of version 4: one creates its own, one receives it.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { mkdtempSync, rmSync } = require('node:fs')
const { createServer } = require('node:net')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const express = require('express')
const { gradioState } = require('gradio-state')
const { redis } = require('gradio-state/redis')
const { createClient } = require('redis')

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'gradio-state-old-peers-'))
  const port = await freePort()
  const program = process.env.REDIS_SERVER_PATH ?? '/usr/bin/redis-server'
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  const server = spawn(program, args.map(String), { stdio: 'ignore' })
  process.once('exit', () => server.kill('SIGKILL'))
  const url = `redis://127.0.0.1:${port}`
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  try {
    await share(url, client)
    assert.equal(await client.ping(), 'PONG', 'the client that was given is not closed')
  } finally {
    await client.quit()
    server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function share(url, client) {
  const nodes = [redis({ url }), redis({ client })].map(cluster => {
    const gradio = gradioState({ cluster })
    const credits = gradio.sharedState('credits', { value: 3 })
    const app = express()
    app.use(gradio)
    app.get('/', async (req, res) => {
      await req.gradioState.establish()
      await credits.update(req.gradioState, left => left - 1)
      res.send(String(await credits.get(req.gradioState)))
    })
    return { gradio, server: app.listen(0) }
  })
  const visit = async ({ server }, cookie) => {
    const headers = cookie ? { cookie } : {}
    const response = await fetch(`http://localhost:${server.address().port}`, { headers })
    return {
      status: response.status,
      left: await response.text(),
      cookie: response.headers.getSetCookie()[0]?.split(';')[0],
    }
  }
  // Until both are connected.
  while ((await visit(nodes[0])).status !== 200 || (await visit(nodes[1])).status !== 200);
  const first = await visit(nodes[0])
  assert.equal(first.left, '2')
  assert.equal((await visit(nodes[1], first.cookie)).left, '1')
  assert.equal((await visit(nodes[0], first.cookie)).left, '0')
  for (const { gradio, server } of nodes) {
    await gradio.close()
    server.close()
  }
}

function freePort() {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

main()
