import assert from 'node:assert/strict'
import { type Visitor, visitor } from 'gradio-state/testing'
import { expectCleanedUp } from './cleanup.ts'
import type { Program } from './program.ts'

/** The smallest PNG. */
export const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==',
  'base64',
)

/**
 * What the app of most recipes does: it shows what its user has uploaded, and cleans up when the user has left and when it is stopped.
 * @param stop stops it, as the recipe says
 */
export async function expectGallery(program: Program, stop: () => void): Promise<void> {
  const user = visitor(program.origin)
  const empty = await user.fetch('/')
  assert.equal(empty.status, 200)
  assert.match(await empty.text(), /src="\/gradio_api\/client\.js"/)
  const tab = await user.openPage()

  await upload(user)
  const [, url = ''] = /<img src="([^"]+)"/.exec(await (await user.fetch('/')).text()) ?? []
  assert.equal(decodeURI(url).split('/').at(-1), 'ein Bild ü.png')
  const picture = await user.fetch(url)
  assert.equal(picture.headers.get('content-type'), 'image/png')
  assert.deepEqual(Buffer.from(await picture.arrayBuffer()), png)
  assert.equal((await visitor(program.origin).fetch(url)).status, 404)

  await tab.close()
  await program.printed('UNLOAD')
  const returned = await user.openPage()
  assert.match(await (await user.fetch('/')).text(), /<img/)

  stop()
  const exited = await program.exited
  // npx ends itself by the signal when its command has exited.
  if (!program.command.startsWith('npx ')) assert.deepEqual(exited, [0, null], program.output())
  assert.equal((await returned.closed).code, 1012)
  await expectCleanedUp(program, '1 uploads')
}

/** Uploads a picture by the form of the page. */
export async function upload(user: Visitor): Promise<void> {
  const body = new FormData()
  body.append('files', new Blob([png]), 'ein Bild ü.png')
  const uploaded = await user.fetch('/upload', { method: 'POST', body })
  assert.deepEqual([uploaded.status, uploaded.headers.get('location')], [303, '/'])
}
