import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type GradioState, type GradioStateOptions, gradioState, type RequestState } from 'gradio-state'

/** An instance whose sessions are identified by a header, so that sessions can be started without HTTP. */
export function unlimited(options: GradioStateOptions = {}): GradioState {
  // Suppresses the warning about sessions without pages.
  process.removeAllListeners('warning')
  return gradioState({
    ...options,
    maxSessions: Number.POSITIVE_INFINITY,
    identify: req => req.headers['x-token'] as string | undefined,
  })
}

/** A key that every contender has to store for each session. */
export function newToken(): string {
  return randomBytes(16).toString('hex')
}

/** Sends a request whose handler is `use`. The response has ended when this returns. */
export function sendRequest(gradio: GradioState, token: string, use: (state: RequestState) => void): void {
  const req = { method: 'GET', url: '/', headers: { 'x-token': token }, socket: SOCKET }
  const res = Object.assign(new EventEmitter(), { headersSent: false, closed: false })
  gradio(req as unknown as IncomingMessage, res as unknown as ServerResponse, () => {
    use((req as unknown as { gradioState: RequestState }).gradioState)
  })
  res.closed = true
  res.emit('close')
}

/** Runs `step` a number of times, and lets the event loop continue in between, as between requests. */
export async function eachOf(count: number, step: () => void): Promise<void> {
  for (let done = 0; done < count; done++) {
    step()
    if (done % BATCH === 0) await new Promise(setImmediate)
  }
}

/** Resolves when all sessions are unloaded: the unload hooks have run, and nothing is due before the grace periods end. */
export async function allUnloaded(gradio: GradioState): Promise<void> {
  while (gradio.stats().loaded > 0) await new Promise(resolve => setTimeout(resolve, POLL))
}

const SOCKET = { server: null }
const BATCH = 1_000
/** Counting the loaded sessions takes time itself. */
const POLL = 500
