import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { gradioState } from 'gradio-state'
import { metrics } from 'gradio-state/metrics'

const names = ['gradio-state:session:begin', 'gradio-state:hook:run']
const gradio = gradioState()
const stop = metrics(gradio)
for (const name of names) assert.equal(channel(name).hasSubscribers, true)
stop()
for (const name of names) assert.equal(channel(name).hasSubscribers, false)
await gradio.close()
