import { describeHostStore } from '../contract/host-store.ts'
import { STORE_KINDS } from '../support/host-stores.ts'

describeHostStore('connect-pg-simple', STORE_KINDS['connect-pg-simple'], { whenAway: 'fails' })
