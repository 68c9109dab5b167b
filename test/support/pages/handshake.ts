import { once } from 'node:events'
import type { Server } from 'node:http'
import type { TestContext } from 'node:test'
import { WebSocket } from 'ws'
import type { Visitor } from '../../../lib/testing/index.ts'

const POST = { method: 'POST' }

/** The response to a page's heartbeat; `ticket` if it was accepted. A page sends the last one with the next heartbeat. */
export async function heartbeat(
  user: Visitor,
  id: string,
  { n = '1', path = '/gradio_api', ticket = '', headers = {} as Record<string, string> } = {},
): Promise<{ status: number; ticket: string; code: string | undefined }> {
  const query = new URLSearchParams({ ...(n && { n }), ...(ticket && { ticket }) })
  const answer = await user.fetch(`${path}/heartbeat/${id}?${query}`, { ...POST, headers })
  const body = (await answer.json()) as { ticket?: string; error?: { code: string } }
  return { status: answer.status, ticket: body.ticket ?? '', code: body.error?.code }
}

/** Says goodbye like a page; returns the status of the response. */
export async function goodbye(
  user: Visitor,
  id: string,
  { n = '1', path = '/gradio_api', within = false } = {},
): Promise<number> {
  return (await user.fetch(`${path}/pagehide/${id}?n=${n}${within ? '&within' : ''}`, POST)).status
}

export interface Dialled {
  /** 101, or the status with which the server rejected it. */
  readonly status: number
  readonly socket: WebSocket
  /** The code of its close, after it was closed. */
  readonly closed: Promise<{ code: number; reason: string }>
}

/** Tries to open the WebSocket of a page, without cookies, since a handshake needs none. */
export async function dial(
  t: TestContext,
  { port }: { port: number },
  id: string,
  { ticket = '', n = '1', path = '/gradio_api', headers = {} as Record<string, string> },
): Promise<Dialled> {
  const url = `ws://127.0.0.1:${port}${path}/heartbeat/${id}?n=${n}&ticket=${ticket}`
  const socket = new WebSocket(url, { headers })
  t.after(() => socket.terminate())
  socket.on('error', () => {})
  const closed = new Promise<{ code: number; reason: string }>(resolve => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  const refused = once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number)
  const opened = once(socket, 'open').then(() => 101)
  refused.catch(() => {})
  opened.catch(() => {})
  const status = await Promise.any([opened, refused])
  return { status, socket, closed }
}

/** Whether an instance handles upgrades at a server: then it has replaced methods of the server. */
export function isHooked(server: Server): boolean {
  return ['emit', 'listenerCount'].some(name => Object.hasOwn(server, name))
}
