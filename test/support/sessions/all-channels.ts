import type { TestContext } from 'node:test'
import { scratch } from '../files/disk.ts'
import { LIFETIME } from '../http/session-app.ts'
import { frameworkHarness } from './framework-harness.ts'

/** Does what is published on each of the channels. */
export async function useAllChannels(t: TestContext): Promise<void> {
  const { gradio, clock, store, user, errors } = frameworkHarness(t, { options: { cacheDir: scratch(t) } })
  const { connect, request } = user()
  const socket = await connect()
  await request(async ({ state }) => {
    state.set('cart', 1, {
      deleteCallback() {
        throw new Error('thrown')
      },
    })
    await state.saveFile('text', { name: 'a.txt' })
    state.scoped('a').set('board', 1)
  })
  socket.close()
  store.trouble = method => (method === 'get' ? new Error('The store is unavailable.') : undefined)
  await clock.advance(LIFETIME + 1)
  store.trouble = () => undefined
  await clock.advance(LIFETIME)
  await gradio.close()
  errors.splice(0)
}
