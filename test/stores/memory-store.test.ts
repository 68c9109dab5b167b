import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

describeHostStore('MemoryStore', STORE_KINDS.MemoryStore)
