// A program with subscribers that throw. It prints what else happens.

import { subscribe } from 'node:diagnostics_channel'
import { type ChannelMessages, gradioState } from '../../../lib/index.ts'
import { testUser } from '../sessions/harness.ts'

process.on('uncaughtException', error => console.log('uncaught:', error.message))
for (const channel of ['gradio-state:session:begin', 'gradio-state:session:end'] as const) {
  subscribe(channel, () => {
    throw new Error(channel)
  })
  subscribe(channel, message => {
    const { reason } = message as Partial<ChannelMessages['gradio-state:session:end']>
    console.log('received', channel, reason)
  })
}
const gradio = gradioState({ identify: req => req.headers['x-user'] as string })
gradio.ended(({ reason }) => console.log('ended', reason))
await testUser(gradio).session()
console.log('sessions:', gradio.stats().sessions)
await gradio.close()
console.log('ended by the shutdown:', gradio.stats().ended.shutdown)
