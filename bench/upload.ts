import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { type RequestHandler } from 'express'
import multer from 'multer'
import { gradioState } from '../lib/index.js'
import { median, ms, type Row, times } from './table.js'

/** What is uploaded: this many requests, each with one file of that size. */
interface Load {
  readonly name: string
  readonly files: number
  readonly size: number
}

const LOADS: Load[] = [
  { name: '1 GB in one file', files: 1, size: 1024 ** 3 },
  { name: '2000 files of 100 kB', files: 2000, size: 100_000 },
]
/** After one that isn't counted. */
const ROUNDS = Number(process.env.ROUNDS ?? 5)

export const title = "into the session's cache (hashed, counted), and multer.diskStorage (neither)"

export async function run(): Promise<Row[]> {
  const rows: Row[] = []
  for (const load of LOADS) {
    const ours: Figures[] = []
    const theirs: Figures[] = []
    // In turns, so that whatever else the machine does hits both.
    for (let round = 0; round <= ROUNDS; round++) {
      theirs.push(await measure(load, diskStorage))
      ours.push(await measure(load, cache))
    }
    const [own, other] = [ours.slice(1), theirs.slice(1)]
    rows.push(
      rowOf(`${load.name}: gradio-state`, own, other),
      rowOf(`${load.name}: diskStorage`, other, other),
    )
  }
  return rows
}

/** Of one round, in milliseconds. */
interface Figures {
  readonly wall: number
  /** Of all threads of the server. */
  readonly cpu: number
  /** In which the event loop of the server was busy. */
  readonly active: number
}

function rowOf(name: string, figures: Figures[], base: Figures[]): Row {
  const middle = (of: Figures[], which: keyof Figures) => median(of.map(each => each[which]))
  const walls = figures.map(({ wall }) => wall)
  return {
    name,
    median: ms(middle(figures, 'wall')),
    spread: `${Math.min(...walls).toFixed(0)} to ${ms(Math.max(...walls))}`,
    ratio: times(middle(figures, 'wall') / middle(base, 'wall')),
    CPU: ms(middle(figures, 'cpu')),
    'event loop': ms(middle(figures, 'active')),
  }
}

interface Storage {
  readonly middleware: RequestHandler[]
  close(): Promise<unknown>
}

function diskStorage(directory: string): Storage {
  return { middleware: [multer({ dest: directory }).single('file')], close: async () => {} }
}

function cache(cacheDir: string): Storage {
  const gradio = gradioState({ cacheDir, maxFileSize: '2gb', maxSessionBytes: '2gb' })
  return { middleware: [gradio, gradio.upload.single('file')], close: () => gradio.close() }
}

/** The client is another process: it must not share the server's event loop. */
async function measure(load: Load, storage: (directory: string) => Storage): Promise<Figures> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-upload-'))
  const { middleware, close } = storage(directory)
  const app = express()
  app.post('/', ...middleware, (_req, res) => {
    res.sendStatus(204)
  })
  const server = app.listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = fork(fileURLToPath(new URL('upload-client.ts', import.meta.url)))
  // Not what it takes to start the client.
  await once(client, 'message')
  const [loop, cpu] = [performance.eventLoopUtilization(), process.cpuUsage()]
  client.send({ ...load, port })
  const [wall] = (await once(client, 'message')) as [number]
  const { user, system } = process.cpuUsage(cpu)
  const { active } = performance.eventLoopUtilization(loop)
  await once(client, 'exit')
  server.close()
  await close()
  await rm(directory, { recursive: true, force: true })
  return { wall, cpu: (user + system) / 1000, active }
}
