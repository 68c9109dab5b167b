// Workers of node:cluster: what they do without Redis.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ListenOptions } from 'node:net'
import { type TestContext, test } from 'node:test'
import { visitor } from '../../lib/testing/index.ts'
import { until } from '../support/http/express.ts'
import { program } from '../support/program.ts'

/** Starts two workers. @returns their ports, and the codes of their warnings */
async function workers(t: TestContext, address: ListenOptions) {
  const args = [...program('test/support/servers/workers.ts'), JSON.stringify(address)]
  const primary = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  t.after(async () => {
    const exited = once(primary, 'exit')
    primary.disconnect()
    await exited
  })
  let output = ''
  let errors = ''
  primary.stdout?.setEncoding('utf8').on('data', text => {
    output += text
  })
  primary.stderr?.setEncoding('utf8').on('data', text => {
    errors += text
  })
  const ports = () => [...output.matchAll(/PORT (\d+)/g)].map(([, port]) => Number(port))
  await until(() => ports().length === 2)
  return {
    ports: ports(),
    warnings: () => [...errors.matchAll(/\[(GRADIO_STATE_\w+)\]/g)].map(([, code]) => code),
  }
}

test('two workers that share a port are warned of as soon as a user has reached both', {
  skip: process.platform !== 'linux',
}, async t => {
  const { ports, warnings } = await workers(t, { port: 0 })
  assert.equal(ports[0], ports[1])
  const user = visitor(`http://127.0.0.1:${ports[0]}`)
  const ids = new Set<string>()
  for (let i = 0; i < 6; i++) ids.add(await (await user.fetch('/id')).text())
  assert.equal(ids.size, 2)
  await until(() => warnings().length > 0)
  assert.deepEqual(warnings(), ['GRADIO_STATE_SEVERAL_PROCESSES'])
})

test('workers with ports of their own are not, even when a user moves from one to the other and back', async t => {
  const { ports, warnings } = await workers(t, { port: 0, exclusive: true })
  assert.notEqual(ports[0], ports[1])
  let cookie = ''
  const ids = new Set<string>()
  for (let i = 0; i < 6; i++) {
    const answer = await fetch(`http://127.0.0.1:${ports[i % 2]}/id`, { headers: { cookie } })
    cookie ||= answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    ids.add(await answer.text())
  }
  assert.equal(ids.size, 2)
  assert.deepEqual(warnings(), [])
})
