import assert from 'node:assert/strict'
import { it } from 'node:test'
import { pass, until } from '../support/http/express.ts'
import { type Node, nodes, roamingUser } from '../support/http/nodes.ts'

it('an end during an unload that waits for a load hook runs the unload hooks', async t => {
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
  // The unload is claimed, and waits; its claim is lost when the session ends.
  await pass(clock, 3)
  assert.deepEqual(log, [])
  const ended = gradio.endSession(id)
  await pass(clock, 0)
  loaded()
  await until(() => log.length > 1, 'both')
  await ended
  assert.deepEqual(log, ['unload ended', 'ended ended'])
})

it('if an answer arrives before the message of a load, its load hooks run once, on the chosen node', async t => {
  const log: string[] = []
  let unloaded = () => {}
  let requests = 0
  const two = await nodes(t, 2, {
    before: app => app.use((_req, _res, next) => next(void requests++)),
    routes(app, gradio) {
      gradio.load(({ key }) => void log.push(key.split(':').slice(1).join(' ')))
      gradio.unload(({ key }) => {
        log.push(key.split(':').slice(1).join(' '))
        return new Promise<void>(resolve => {
          unloaded = resolve
        })
      })
      app.get('/id', async (req, res) => {
        await req.gradioState.establish()
        res.end(req.gradioState.id)
      })
    },
  })
  const [a, b] = [two[0]!, two[1]!]
  const user = roamingUser()
  const idAt = async (node: Node) => (await user.at(node).fetch('/id')).text()
  await idAt(a)
  await pass(two.clock, 1)
  // The last node that stops keeping the session unloads it.
  await idAt(b)
  await pass(two.clock, 3)
  await until(() => log.length === 2, 'the unload hooks to begin')
  const waiting = idAt(a)
  await until(() => requests === 3, 'the request that waits for the unload')
  await two.clock.advance(0)
  const release = a.hold('messages')
  unloaded()
  await two.clock.advance(0)
  // The session was loaded again, and this answer says so.
  await idAt(a)
  release()
  await waiting
  await two.clock.advance(0)
  assert.deepEqual(log, ['load 1', 'unload 1', 'load 2'])
})
