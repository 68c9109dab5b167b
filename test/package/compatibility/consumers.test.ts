import { fileURLToPath } from 'node:url'
import { testConsumers } from '../../support/package/consumers.ts'

// Jest, and old versions of the peers: those that work, and those that are refused.

const templates = fileURLToPath(new URL('consumers', import.meta.url))

testConsumers(templates, ['old-peers', 'refused-peers'])
