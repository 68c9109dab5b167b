import { describe } from 'node:test'
import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

describe('connect-redis', { concurrency: true }, () => {
  describeHostStore('with an offline queue', STORE_KINDS['connect-redis'], {
    whenAway: 'hangs',
    canForget: true,
  })
  describeHostStore('without an offline queue', STORE_KINDS['connect-redis, without an offline queue'], {
    whenAway: 'fails',
    canForget: true,
  })
})
