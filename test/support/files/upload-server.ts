// A separate process that accepts uploads, so that its memory can be measured: `node --import tsx upload-server.ts <dir>`.

import express from 'express'
import { gradioState } from '../../../lib/index.ts'

const gradio = gradioState({ cacheDir: process.argv[2]!, maxFileSize: '4gb', maxSessionBytes: '4gb' })
const app = express()
app.use(gradio)
app.post('/upload', gradio.upload.single('files'), (req, res) => {
  const { size, sha256 } = req.file!
  res.json({ size, sha256, peak: process.resourceUsage().maxRSS * 1024 })
})
const server = app.listen(0, '127.0.0.1', () => {
  process.send?.((server.address() as { port: number }).port)
})
process.once('disconnect', () => {
  server.closeAllConnections()
  server.close()
  void gradio.close()
})
