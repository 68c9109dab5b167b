import { describeExpressStore } from '../contract/express-store.ts'
import { STORE_KINDS } from '../support/stores/express-stores.ts'

describeExpressStore('connect-pg-simple', STORE_KINDS['connect-pg-simple'], { whenAway: 'fails' })
