import { describe } from 'node:test'
import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

describe('session-file-store', { concurrency: true }, () => {
  describeHostStore('with retries', STORE_KINDS['session-file-store'])
  describeHostStore('without retries', STORE_KINDS['session-file-store, without retries'])
})
