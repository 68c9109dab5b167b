import { describeExpressStore } from '../contract/express-store.ts'
import { STORE_KINDS } from '../support/stores/express-stores.ts'

describeExpressStore('better-sqlite3-session-store', STORE_KINDS['better-sqlite3-session-store'], {
  lifetime: 7,
})
