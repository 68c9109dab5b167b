import { createKoaApp } from './app-koa.ts'
import { start } from './start.ts'

await start((demo, settings) => {
  const answer = createKoaApp(demo, settings).callback()
  // What it gives settles when the answer is written; a server waits for nothing.
  return (req, res) => void answer(req, res)
})
