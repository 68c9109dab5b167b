import { createKoaApp } from './app-koa.ts'
import { start } from './start.ts'

await start((demo, settings) => {
  const answer = createKoaApp(demo, settings).callback()
  // The promise settles when the response is sent; the server doesn't use it.
  return (req, res) => void answer(req, res)
})
