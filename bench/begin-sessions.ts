import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type GradioState, type GradioStateOptions, gradioState, type RequestState } from 'gradio-state'

/** An instance whose sessions are named by a header, so that requests without HTTP can begin as many as it takes. */
export function unlimited(options: GradioStateOptions = {}): GradioState {
  // What is said once about sessions without pages concerns nobody here.
  process.removeAllListeners('warning')
  return gradioState({
    ...options,
    maxSessions: Number.POSITIVE_INFINITY,
    identify: req => req.headers['x-token'] as string | undefined,
  })
}

/** What anybody has to keep of each session: a string of its own. */
export function newToken(): string {
  return randomBytes(16).toString('hex')
}

/** A request whose handler is `use`; when this returns, it has been answered. */
export function visit(gradio: GradioState, token: string, use: (state: RequestState) => void): void {
  const req = { method: 'GET', url: '/', headers: { 'x-token': token }, socket: SOCKET }
  const res = Object.assign(new EventEmitter(), { headersSent: false, closed: false })
  gradio(req as unknown as IncomingMessage, res as unknown as ServerResponse, () => {
    use((req as unknown as { gradioState: RequestState }).gradioState)
  })
  res.closed = true
  res.emit('close')
}

/** Does `step` so many times; now and then the event loop is free, as it is between requests. */
export async function eachOf(count: number, step: () => void): Promise<void> {
  for (let done = 0; done < count; done++) {
    step()
    if (done % BATCH === 0) await new Promise(setImmediate)
  }
}

/** Resolves when nobody is here any more: all unload hooks have run, and nothing is due before the grace periods end. */
export async function allUnloaded(gradio: GradioState): Promise<void> {
  while (gradio.stats().loaded > 0) await new Promise(resolve => setTimeout(resolve, POLL))
}

const SOCKET = { server: null }
const BATCH = 1_000
/** To count those that are loaded takes a while itself. */
const POLL = 500
