import { launch } from '../harness/process.js'
import { BELOW_BASELINE, compare, type Result } from '../harness/result.js'
import { BASELINE, type Contender, measure, type Server } from './contenders.js'
import type { Order } from './uploader.js'

interface Load {
  readonly name: string
  readonly files: number
  readonly size: number
}

const FILES = Number(process.env.COUNT ?? 2_000)
const LOADS: Load[] = [
  { name: '1 GB in one file', files: 1, size: 1024 ** 3 },
  { name: `${FILES.toLocaleString('en')} files of 100 kB, 8 in parallel`, files: FILES, size: 100_000 },
]
const ROUNDS = 3

/** Uploads to the upload route of each server. Both servers hash the files. */
export async function uploads(contenders: readonly [Contender, Contender]): Promise<Result[]> {
  const results: Result[] = []
  for (const load of LOADS) {
    const { ours, theirs } = await measure(contenders, ROUNDS, server => uploadOf(server, load))
    const line = (metric: string, which: keyof Figures) =>
      compare({
        metric: `upload: ${load.name}${metric}`,
        unit: 'ms',
        ours: ours.map(figures => figures[which]),
        baseline: { name: BASELINE, rounds: theirs.map(figures => figures[which]) },
        goal: BELOW_BASELINE,
      })
    results.push(line('', 'wall'), line(', CPU of the server', 'cpu'))
  }
  return results
}

/** In milliseconds. */
interface Figures {
  readonly wall: number
  /** CPU time of all threads of the server. */
  readonly cpu: number
}

export async function uploadOf(server: Server, { files, size }: Omit<Load, 'name'>): Promise<Figures> {
  const client = await launch('gradio/uploader')
  try {
    const path = '/gradio_api/upload'
    const send = (order: Order) => client.ask<number>('send', order)
    // Both load some of their code at the first upload.
    await send({ path, port: server.port, files: 20, size: 1_000 })
    const before = await server.ask<number>('cpu')
    const wall = await send({ path, port: server.port, files, size })
    return { wall, cpu: (await server.ask<number>('cpu')) - before }
  } finally {
    await client.stop()
  }
}
