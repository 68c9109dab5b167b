import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import express from 'express'
import Koa from 'koa'
import { koa } from '../../lib/http/koa.ts'
import { gradioState } from '../../lib/index.ts'
import { type VisitedApp, visitor } from '../../lib/testing/index.ts'

/** An app that responds with the id of the visitor's session. */
const APPS: Record<string, () => VisitedApp> = {
  'an Express app': () => expressApp(),
  'a Koa app': () => {
    const app = new Koa()
    app.use(koa(gradioState()))
    app.use(ctx => {
      ctx.body = { id: ctx.gradioState.id }
    })
    return app
  },
  'a server that does not listen': () => createServer(expressApp()),
}

function expressApp() {
  const app = express()
  app.use(gradioState())
  app.get('/', (req, res) => res.json({ id: req.gradioState.id }))
  return app
}

async function idOf(user: ReturnType<typeof visitor>): Promise<string> {
  return ((await (await user.fetch('/')).json()) as { id: string }).id
}

for (const [name, create] of Object.entries(APPS)) {
  test(`a visitor of ${name} keeps its session, and another visitor has a different one`, async () => {
    const app = create()
    const [ann, ben] = [visitor(app), visitor(app)]
    const [annsId, bensId] = await Promise.all([idOf(ann), idOf(ben)])
    assert.notEqual(annsId, bensId)
    assert.equal(await idOf(ann), annsId)
    const page = await ann.openPage()
    assert.equal(await page.close(), 204)
  })
}

const hasIPv6 = Object.values(networkInterfaces()).some(found =>
  found?.some(({ address }) => address === '::1'),
)

for (const host of ['127.0.0.1', '0.0.0.0', ...(hasIPv6 ? ['::1', '::'] : [])]) {
  test(`a visitor of a server that listens on ${host} finds it`, async t => {
    const server = createServer((_req, res) => res.end('"found"')).listen(0, host)
    t.after(() => server.close())
    await once(server, 'listening')
    assert.equal(await (await visitor(server).fetch('/')).json(), 'found')
  })
}

test('an object that is neither an app nor a server is rejected, with what was received', async () => {
  const wrong: unknown = { listen: true }
  await assert.rejects(
    visitor(wrong as VisitedApp).fetch('/'),
    /TypeError: Expected an origin, a server or an app/,
  )
})

test('a process whose tests have visited an app exits by itself', async () => {
  const script = `
    import express from 'express'
    import { gradioState } from 'gradio-state'
    import { visitor } from 'gradio-state/testing'
    const app = express()
    app.use(gradioState())
    app.get('/', (req, res) => res.json(req.gradioState.id))
    const response = await visitor(app).fetch('/')
    console.log(response.status)
  `
  const node = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  node.stdout.on('data', chunk => {
    output += chunk
  })
  const [code] = await once(node, 'exit')
  assert.deepEqual([code, output.trim()], [0, '200'])
})
