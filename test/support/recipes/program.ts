import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../servers/free-port.ts'
import { ENV, expectCommand, type Folder } from './folder.ts'

/** A server of a recipe, started by a command of its page. */
export interface Program {
  readonly command: string
  readonly port: number
  readonly origin: string
  /** What it has printed so far. */
  output(): string
  /** Resolves when it has printed a text `times` times. */
  printed(text: string, times?: number): Promise<void>
  /** Sends a signal to the command. */
  kill(signal: NodeJS.Signals): void
  /** Sends SIGINT to all of its processes, as a terminal does at Ctrl+C. */
  interrupt(): void
  /** Resolves when it has exited. */
  readonly exited: Promise<[code: number | null, signal: NodeJS.Signals | null]>
  /** The directories that its instance has left. */
  leftovers(): Promise<string[]>
}

/** How many seconds to wait for what a busy machine may delay. */
const PATIENCE = 120

/** Starts a command of a recipe on a free port, and waits until it has printed `ready`. It is killed when the test is over. */
export async function start(
  t: TestContext,
  { recipe, path }: Folder,
  command: string,
  { ready = 'Listening', env = {} }: { ready?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Program> {
  expectCommand(recipe, command)
  const port = await freePort()
  const cache = join(path, '.cache')
  // `exec`, so that the shell isn't one more process between the command and its signals. Variables are set before it.
  const child = spawn('sh', ['-c', command.replace(/^(\w+=\S+ )*/, '$&exec ')], {
    cwd: path,
    env: { ...ENV, PORT: String(port), GRADIO_TEMP_DIR: cache, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`Expected ${command} to start`)
  const killAll = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal)
    } catch {
      // All of them have exited.
    }
  }
  t.after(() => killAll('SIGKILL'))

  let output = ''
  const waiting = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text
      for (const check of waiting) check()
    })
  }
  const exited = once(child, 'close') as Program['exited']

  const printed = (text: string, times = 1) =>
    new Promise<void>((resolve, reject) => {
      const settle = (settled: () => void) => {
        clearTimeout(timer)
        waiting.delete(check)
        settled()
      }
      const fail = (why: string) => () => reject(new Error(`${command} ${why} "${text}":\n${output}`))
      const timer = setTimeout(() => settle(fail('did not print')), PATIENCE * 1000)
      const check = () => {
        if (output.split(text).length > times) settle(resolve)
      }
      waiting.add(check)
      void exited.then(() => settle(fail('exited before')))
      check()
    })

  const program: Program = {
    command,
    port,
    origin: `http://localhost:${port}`,
    output: () => output,
    printed,
    kill: signal => process.kill(pid, signal),
    interrupt: () => killAll('SIGINT'),
    exited,
    leftovers: () => readdir(cache).catch(() => []),
  }
  await printed(ready)
  return program
}
