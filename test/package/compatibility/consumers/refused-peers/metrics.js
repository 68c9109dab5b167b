// The first versions of @opentelemetry/api have no metrics.

const assert = require('node:assert/strict')
const { gradioState } = require('gradio-state')
const { metrics } = require('gradio-state/metrics')

const gradio = gradioState()
assert.throws(() => metrics(gradio), {
  code: 'VERSION_UNSUPPORTED',
  message: /version 1\.3 or later.*npm install @opentelemetry\/api@latest/,
})
gradio.close()
