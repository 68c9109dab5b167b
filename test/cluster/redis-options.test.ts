import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createClient, createCluster } from 'redis'
import { type RedisOptions, redis } from '../../lib/cluster/redis/index.ts'
import { coordinatorOf } from '../../lib/sessions/cluster-option.ts'

const client = createClient()
const wrong: Record<string, unknown> = {
  'no options': undefined,
  'neither a client nor a url': {},
  'a client and a url': { client, url: 'redis://localhost' },
  'a client of another make': { client: { get() {} } },
  'a url of something else': { url: 'http://localhost:6379' },
  'a url that is none': { url: 6379 },
  'an empty prefix': { client, prefix: '' },
  // It would end the hash tag, so the keys of a session would be in different slots of a cluster.
  'a prefix with a brace': { client, prefix: 'a}b' },
  'an option that it does not know': { client, keyPrefix: 'x' },
}

for (const [what, options] of Object.entries(wrong)) {
  it(`${what} is refused`, () => {
    assert.throws(() => redis(options as RedisOptions), { code: 'OPTION_INVALID' })
  })
}

for (const [what, members] of Object.entries({
  'version 3': { send_command() {} },
  'version 4.0': { isReady: undefined },
})) {
  it(`a client of ${what} of the package is refused`, () => {
    const { connect, duplicate, eval: run, evalSha, subscribe, unsubscribe, on, off } = client
    const methods = { connect, duplicate, eval: run, evalSha, subscribe, unsubscribe, on, off }
    const options = { client: { ...methods, ...members } } as object
    assert.throws(() => redis(options), { code: 'VERSION_UNSUPPORTED' })
  })
}

it("accepts a client, a cluster client and a url, and doesn't connect yet", () => {
  const cluster = createCluster({ rootNodes: [{ url: 'redis://localhost:1' }] })
  for (const options of [{ client }, { client: cluster }, { url: 'rediss://localhost:1' }]) {
    assert.notEqual(coordinatorOf(redis(options)), undefined)
  }
  assert.equal(client.isOpen, false)
})
