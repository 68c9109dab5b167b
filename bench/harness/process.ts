import { fork } from 'node:child_process'
import { once } from 'node:events'

// The measured program has a process of its own, so that its memory and CPU time aren't mixed with those of the benchmark.

/** A launched process that answers questions. */
export interface Launched {
  /** What it reported when it was ready. */
  readonly ready: unknown
  ask<T>(question: string, ...args: unknown[]): Promise<T>
  /** What it has used so far. */
  usage(): Promise<Usage>
  stop(): Promise<void>
}

export interface Usage {
  /** CPU time of all its threads, in milliseconds. */
  readonly cpu: number
  /** In bytes, after a garbage collection. */
  readonly heap: number
  /** What buffers and other objects have outside of the heap, in bytes. */
  readonly external: number
  /** All memory that the process has, in bytes. */
  readonly rss: number
}

export type Answers = Readonly<Record<string, (...args: never[]) => unknown>>

/**
 * Starts a module of this folder's parent in a process of its own, and waits until it has called {@link answering}.
 * @param script its name without an extension: `'request-server'`
 */
export async function launch(script: string, args: readonly string[] = [], flags: readonly string[] = []) {
  const child = fork(new URL(`../${script}.ts`, import.meta.url), args, {
    execArgv: ['--import', 'tsx', '--expose-gc', '--max-old-space-size=16000', ...flags],
    serialization: 'advanced',
    // stdout is only for results.
    stdio: ['ignore', 2, 'inherit', 'ipc'],
  })
  const kill = () => child.kill('SIGKILL')
  const pending = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>()
  let last = 0
  const died = () => {
    for (const { reject } of pending.values()) reject(new Error(`${script} has ended before it answered`))
  }
  child.once('exit', died)
  const ready = await new Promise<unknown>((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', code => reject(new Error(`${script} ended with ${code} before it was ready`)))
  })
  child.on('message', ({ number, answer, error }: Reply) => {
    const asked = pending.get(number)
    pending.delete(number)
    if (error === undefined) asked?.resolve(answer as never)
    else asked?.reject(new Error(`${script}: ${error}`))
  })
  const launched: Launched = {
    ready,
    ask: (question, ...args) =>
      new Promise((resolve, reject) => {
        if (child.exitCode !== null || child.signalCode !== null) reject(new Error(`${script} has ended`))
        const number = ++last
        pending.set(number, { resolve, reject })
        child.send({ number, question, args })
      }),
    usage: () => launched.ask('usage'),
    async stop() {
      process.off('exit', kill)
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      kill()
      await exit
    },
  }
  process.once('exit', kill)
  return launched
}

interface Reply {
  readonly number: number
  readonly answer: unknown
  readonly error?: string
}

/** For the launched process: answers questions, and reports that it is ready. */
export function answering(answers: Answers, ready: unknown = 'ready'): void {
  const all: Answers = { usage, ...answers }
  process.on('message', ({ number, question, args }: Question) => {
    Promise.resolve()
      .then(() => all[question]?.(...(args as never[])))
      .then(
        answer => process.send?.({ number, answer }),
        (error: Error) => process.send?.({ number, error: String(error.stack) }),
      )
  })
  process.once('disconnect', () => process.exit())
  process.send?.(ready)
}

interface Question {
  readonly number: number
  readonly question: string
  readonly args: unknown[]
}

/** What this process has used so far. */
export function usage(): Usage {
  globalThis.gc?.()
  const { user, system } = process.cpuUsage()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { cpu: (user + system) / 1_000, heap: heapUsed, external, rss }
}
