import { fileURLToPath } from 'node:url'
import { testConsumers } from '../support/package/consumers.ts'

testConsumers(fileURLToPath(new URL('consumers', import.meta.url)))
