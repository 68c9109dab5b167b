import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, test } from 'node:test'
import { visitor } from 'gradio-state/testing'
import { expectCleanStop } from '../support/recipes/cleanup.ts'
import { type Folder, follow } from '../support/recipes/folder.ts'
import { start } from '../support/recipes/program.ts'

let folder: Folder
before(async () => {
  folder = await follow('rate-limit')
})

/** Sends a request as a new user. */
async function statusOfNewUser(origin: string, address?: string): Promise<number> {
  const headers = address === undefined ? {} : { 'x-forwarded-for': address }
  return (await visitor(origin).fetch('/', { headers })).status
}

test('express-rate-limit limits new sessions, and no other requests', async t => {
  const program = await start(t, folder, 'node server.js', { env: { NEW_SESSIONS: '3' } })
  const user = visitor(program.origin)
  for (let count = 0; count < 10; count++) assert.equal((await user.fetch('/')).status, 200)
  const page = await user.openPage()

  const statuses: number[] = []
  for (let stranger = 0; stranger < 4; stranger++) statuses.push(await statusOfNewUser(program.origin))
  assert.deepEqual(statuses, [200, 200, 429, 429])
  // Without a proxy, a client can't choose its address.
  assert.equal(await statusOfNewUser(program.origin, '192.0.2.1'), 429)
  await page.close()
  await program.printed('UNLOAD', 3)
  await expectCleanStop(program, '10 visits')
})

test('behind a proxy, express-rate-limit counts by the address of the client', async t => {
  const command = 'PROXIES=1 node server.js'
  const program = await start(t, folder, command, { env: { NEW_SESSIONS: '2' } })
  const statuses: number[] = []
  for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.3'])
    statuses.push(await statusOfNewUser(program.origin, address))
  assert.deepEqual(statuses, [200, 200, 429, 200, 200])

  // Tokens that a client has made up start sessions too, without Set-Cookie.
  const withToken = async () => {
    const token = `m.${randomBytes(16).toString('base64url')}`
    const headers = { cookie: `gradio_state=${token}`, 'x-forwarded-for': '192.0.2.4' }
    const response = await fetch(program.origin, { headers })
    return [response.status, response.headers.has('set-cookie')]
  }
  assert.deepEqual(await withToken(), [200, false])
  assert.deepEqual(await withToken(), [200, false])
  assert.equal((await withToken())[0], 429)
})
