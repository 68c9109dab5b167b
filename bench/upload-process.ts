// A server of the suite `upload`: `cache` or `diskStorage`, into a directory.

import type { AddressInfo } from 'node:net'
import express, { type RequestHandler } from 'express'
import { gradioState } from 'gradio-state'
import multer from 'multer'
import { answering } from './harness/process.js'

const [storage, directory = ''] = process.argv.slice(2)

const app = express()
app.post(
  '/',
  ...(storage === 'cache' ? cache() : [multer({ dest: directory }).single('file')]),
  (_req, res) => {
    res.sendStatus(204)
  },
)

function cache(): RequestHandler[] {
  const gradio = gradioState({
    cacheDir: directory,
    maxFileSize: '2gb',
    maxSessionBytes: '2gb',
    maxSessionFiles: 10_000,
  })
  return [gradio, gradio.upload.single('file')]
}

let [loop, cpu] = used()
let rss = 0

function used() {
  return [performance.eventLoopUtilization(), process.cpuUsage()] as const
}

const server = app.listen(0, '127.0.0.1', () => {
  answering(
    {
      begin() {
        globalThis.gc?.()
        rss = process.memoryUsage.rss()
        ;[loop, cpu] = used()
      },
      end() {
        const { user, system } = process.cpuUsage(cpu)
        return {
          cpu: (user + system) / 1_000,
          active: performance.eventLoopUtilization(loop).active,
          rss: process.resourceUsage().maxRSS * 1024 - rss,
        }
      },
    },
    (server.address() as AddressInfo).port,
  )
})
