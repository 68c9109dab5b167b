const assert = require('node:assert/strict')
const { channel } = require('node:diagnostics_channel')
const { gradioState } = require('gradio-state')
const { metrics } = require('gradio-state/metrics')

const names = ['gradio-state:session:begin', 'gradio-state:hook:run']
const gradio = gradioState()
const stop = metrics(gradio)
for (const name of names) assert.equal(channel(name).hasSubscribers, true)
stop()
for (const name of names) assert.equal(channel(name).hasSubscribers, false)
void gradio.close()
