// Versions of the package `redis` that don't work are refused with an error that says so.

const assert = require('node:assert/strict')
const { gradioState } = require('gradio-state')
const { redis } = require('gradio-state/redis')

const refusal = { code: 'VERSION_UNSUPPORTED', message: /version 4\.2 or later.*npm install redis@latest/ }

async function main() {
  const version3 = require('redis').createClient({ url: 'redis://localhost:1' })
  version3.on('error', () => {})
  assert.throws(() => redis({ client: version3 }), refusal)
  version3.end(false)

  assert.throws(() => redis({ client: require('redis-4.0').createClient() }), refusal)
  const rootNodes = [{ url: 'redis://localhost:1' }]
  assert.throws(() => redis({ client: require('redis-5').createCluster({ rootNodes }) }), refusal)

  // Version 3, as the library imports it.
  const gradio = gradioState({ cluster: redis({ url: 'redis://localhost:1' }) })
  const error = await new Promise(resolve => gradio.on('error', resolve))
  assert.equal(error.code, refusal.code)
  assert.match(error.message, refusal.message)
  await gradio.close()
}

main()
