import { describe } from 'node:test'
import { describeExpressStore } from '../contract/express-store.ts'
import { STORE_KINDS } from '../support/stores/express-stores.ts'

describe('connect-redis', { concurrency: true }, () => {
  describeExpressStore('with an offline queue', STORE_KINDS['connect-redis'], {
    whenAway: 'hangs',
    canForget: true,
  })
  describeExpressStore('without an offline queue', STORE_KINDS['connect-redis, without an offline queue'], {
    whenAway: 'fails',
    canForget: true,
  })
})
