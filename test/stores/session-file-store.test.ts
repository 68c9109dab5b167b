import { describe } from 'node:test'
import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

/** It waits for the disk with each write (write-file-atomic, `fsync`), which a busy one makes wait for a second or two. */
const SLOW = { lifetime: 5 }

describe('session-file-store', { concurrency: true }, () => {
  describeHostStore('with retries', STORE_KINDS['session-file-store'], SLOW)
  describeHostStore('without retries', STORE_KINDS['session-file-store, without retries'], SLOW)
})
