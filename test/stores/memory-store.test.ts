import { describeExpressStore } from '../contract/express-store.ts'
import { STORE_KINDS } from '../support/stores/express-stores.ts'

describeExpressStore('MemoryStore', STORE_KINDS.MemoryStore)
