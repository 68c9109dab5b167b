import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

describeHostStore('better-sqlite3-session-store', STORE_KINDS['better-sqlite3-session-store'], {
  lifetime: 3,
})
