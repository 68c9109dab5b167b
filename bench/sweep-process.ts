// Sessions with files, half of which become old. Its arguments: the cache directory, and the number of files.

import { setTimeout as sleep } from 'node:timers/promises'
import { eachOf, newToken, sendRequest, unlimited } from './begin-sessions.js'
import { type LoopDelay, watchLoop } from './harness/loop-delay.js'
import { answering } from './harness/process.js'
import { shiftedClock } from './shifted-clock.js'

/** The cost of a sweep. */
export interface Sweep extends LoopDelay {
  /** Milliseconds from when the files became old to when the last was deleted. */
  readonly time: number
  /** Milliseconds, of all threads. */
  readonly cpu: number
}

const [cacheDir = '', count = '0'] = process.argv.slice(2)
const FILES_OF_EACH = 100
const SIZE = 32
const sessions: string[] = []

const FREQUENCY = 1_800
const AGE = 3_600
/** More than a frequency, two of which are more than an age. */
const STEP = 2_000

const clock = shiftedClock()
const gradio = unlimited({ cacheDir, clock, deleteCache: [FREQUENCY, AGE], gracePeriod: '30d' })

answering({
  /** Half of the files. */
  async save(name: string) {
    if (sessions.length === 0)
      await eachOf(Number(count) / FILES_OF_EACH, () =>
        sendRequest(gradio, newToken(), ({ id }) => sessions.push(id)),
      )
    for (const id of sessions) {
      const session = gradio.session(id)
      const save = (_: unknown, index: number) =>
        session?.saveFile(Buffer.from(`${name} ${index} ${id}`.slice(0, SIZE).padEnd(SIZE)), {
          name: `${name}-${index}.txt`,
        })
      await Promise.all(Array.from({ length: FILES_OF_EACH / 2 }, save))
    }
  },
  age() {
    clock.shift(STEP * 1_000)
  },
  /** Makes the files that were saved first old. */
  async sweep(): Promise<Sweep> {
    const { fileBytes } = gradio.stats()
    const left = fileBytes / 2
    globalThis.gc?.()
    const watched = watchLoop()
    const cpuBefore = process.cpuUsage()
    const begun = performance.now()
    clock.shift(STEP * 1_000)
    // The bytes of a file count until it is deleted from the disk.
    while (gradio.stats().fileBytes > left) await sleep(POLL)
    const time = performance.now() - begun
    const { user, system } = process.cpuUsage(cpuBefore)
    return { time, cpu: (user + system) / 1_000, ...watched() }
  },
})

/** In milliseconds. */
const POLL = 10
