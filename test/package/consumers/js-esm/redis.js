import assert from 'node:assert/strict'
import { gradioState } from 'gradio-state'
import { redis } from 'gradio-state/redis'

// This app has not installed `redis`: parts that need it say so, and the rest works.
assert.throws(() => redis({}), { code: 'OPTION_INVALID' })
const gradio = gradioState({ cluster: redis({ url: 'redis://localhost:1' }) })
const error = await new Promise(tell => gradio.on('error', tell))
assert.equal(error.code, 'REDIS_MISSING')
assert.match(error.message, /npm install redis/)
await gradio.close()
