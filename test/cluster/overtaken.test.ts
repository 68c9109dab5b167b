import assert from 'node:assert/strict'
import { it } from 'node:test'
import { pass, until } from '../support/express.ts'
import { nodes } from '../support/nodes.ts'

it('an end that overtakes an unload, which waits for a load hook, runs the unload hooks in its place', async t => {
  const log: string[] = []
  let loaded = () => {}
  const { clock, 0: node } = await nodes(t, 1, {
    routes(app, gradio) {
      gradio.load(
        () =>
          new Promise<void>(resolve => {
            loaded = resolve
          }),
      )
      gradio.unload(({ reason }) => log.push(`unload ${reason}`))
      gradio.ended(({ reason }) => log.push(`ended ${reason}`))
      app.get('/id', async (req, res) => {
        await req.gradioState.establish()
        res.end(req.gradioState.id)
      })
    },
  })
  const { gradio, visitor } = node!
  const id = await (await visitor().fetch('/id')).text()
  // The unload is claimed, and waits; its claim is lost with the end of the life.
  await pass(clock, 3)
  assert.deepEqual(log, [])
  const ended = gradio.endSession(id)
  await pass(clock, 0)
  loaded()
  await until(() => log.length > 1, 'both')
  await ended
  assert.deepEqual(log, ['unload ended', 'ended ended'])
})
