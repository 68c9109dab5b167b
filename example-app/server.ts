import { createApp } from './app.ts'
import { start } from './start.ts'

await start(createApp)
