import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Launched, launch } from '../harness/process.js'
import { inTurns } from '../harness/turns.js'
import { launchGradio } from './gradio.js'
import { GRADIO } from './setup.js'

/** A server in a process of its own, which listens at a port and keeps its files in a directory. */
export interface Contender {
  readonly name: 'ours' | 'theirs'
  start(directory: string, purpose?: 'sweep'): Promise<Launched>
}

export const BASELINE = `Gradio ${GRADIO}`

/** @param environment where Gradio is installed */
export function contendersOf(environment: string): readonly [ours: Contender, theirs: Contender] {
  return [
    {
      name: 'ours',
      start: (directory, purpose) =>
        launch('gradio/ours', [directory, ...(purpose === undefined ? [] : [purpose])]),
    },
    { name: 'theirs', start: directory => launchGradio(environment, directory) },
  ]
}

/** Measures a server of a contender, which was started for this round. */
export type Measurement<Figure> = (server: Server, round: number) => Promise<Figure>

export interface Server extends Launched {
  readonly contender: Contender['name']
  readonly port: number
  readonly directory: string
}

/** Measures both in turn, each time with a new server and an empty directory. */
export function measure<Figure>(
  contenders: readonly [Contender, Contender],
  rounds: number,
  measurement: Measurement<Figure>,
  purpose?: 'sweep',
): Promise<Record<'ours' | 'theirs', Figure[]>> {
  const [ours, theirs] = contenders.map(
    contender => (round: number) =>
      within(LIMIT, `${contender.name}: a round`, () =>
        withServer(contender, server => measurement(server, round), purpose),
      ),
  ) as [(round: number) => Promise<Figure>, (round: number) => Promise<Figure>]
  return inTurns(rounds, { ours, theirs })
}

async function withServer<Figure>(
  contender: Contender,
  use: (server: Server) => Promise<Figure>,
  purpose?: 'sweep',
): Promise<Figure> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-gradio-'))
  try {
    const launched = await contender.start(directory, purpose)
    const { port } = launched.ready as { port: number }
    try {
      return await use({ ...launched, contender: contender.name, port, directory })
    } finally {
      await launched.stop()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Gives up after a number of milliseconds. */
export async function within<T>(limit: number, what: string, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limit / 1_000} s`)), limit)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** A round takes a minute or so. */
const LIMIT = 5 * 60_000
