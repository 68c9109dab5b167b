import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Launched, Usage } from '../harness/process.js'

/** Starts app.py on the Gradio of a virtual environment, in a process of its own. */
export async function launchGradio(environment: string, directory: string): Promise<Launched> {
  const child = spawn(
    join(environment, 'bin', 'python'),
    [fileURLToPath(new URL('app.py', import.meta.url))],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...SETTINGS, GRADIO_TEMP_DIR: join(directory, 'files') },
    },
  )
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const exit = once(child, 'exit').then(() => process.off('exit', kill))
  const waiting = new Map<number, (reply: Reply) => void>()
  let last = 0
  const lines = createInterface({ input: child.stdout })
  const ready = await Promise.race([
    once(lines, 'line').then(([line]) => JSON.parse(line) as unknown),
    exit.then(() => Promise.reject(new Error(`Gradio ended with ${child.exitCode} before it was ready`))),
  ])
  lines.on('line', line => {
    const reply = JSON.parse(line) as Reply
    waiting.get(reply.number)?.(reply)
    waiting.delete(reply.number)
  })
  const gone = exit.then((): never => {
    throw new Error('Gradio has ended before it answered')
  })
  // Callers of ask() see the rejection.
  gone.catch(() => {})
  const launched: Launched = {
    ready,
    async ask<T>(question: string, ...args: unknown[]) {
      const number = ++last
      const replied = new Promise<Reply>(resolve => {
        waiting.set(number, resolve)
      })
      child.stdin.write(`${JSON.stringify({ number, question, args })}\n`)
      const { answer, error } = await Promise.race([replied, gone])
      if (error !== undefined) throw new Error(`Gradio: ${error}`)
      return answer as T
    },
    usage: () => launched.ask<Usage>('usage'),
    async stop() {
      kill()
      await exit
    },
  }
  return launched
}

interface Reply {
  readonly number: number
  readonly answer?: unknown
  readonly error?: string
}

/** Disables telemetry and output buffering. */
const SETTINGS = {
  GRADIO_ANALYTICS_ENABLED: 'False',
  HF_HUB_OFFLINE: '1',
  HF_HUB_DISABLE_TELEMETRY: '1',
  NO_PROXY: '127.0.0.1',
  no_proxy: '127.0.0.1',
  PYTHONDONTWRITEBYTECODE: '1',
}
