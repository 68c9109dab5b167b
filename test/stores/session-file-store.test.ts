import { describe } from 'node:test'
import { describeExpressStore } from '../contract/express-store.ts'
import { STORE_KINDS } from '../support/stores/express-stores.ts'

/** It waits for the disk with each write (write-file-atomic, `fsync`), which takes a second or two on a busy disk. */
const SLOW = { lifetime: 7 }

describe('session-file-store', { concurrency: true }, () => {
  describeExpressStore('with retries', STORE_KINDS['session-file-store'], SLOW)
  describeExpressStore('without retries', STORE_KINDS['session-file-store, without retries'], SLOW)
})
