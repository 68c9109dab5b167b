import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

/** A page of a user, kept open by its WebSocket. */
export class ClusterPage {
  readonly user: string
  readonly id: string
  /** When the socket was open: from then on the page certainly counts. */
  readonly openedAt: number
  /** Resolves when the socket has closed, on either side. */
  readonly over: Promise<void>
  readonly #port: number
  readonly #socket: WebSocket
  #isOver = false

  private constructor(user: string, id: string, port: number, socket: WebSocket) {
    this.user = user
    this.id = id
    this.#port = port
    this.#socket = socket
    this.openedAt = Date.now()
    this.over = new Promise(resolve => {
      socket.once('close', () => {
        this.#isOver = true
        resolve()
      })
    })
  }

  /** Resolves when the page has its socket. */
  static async open(port: number, user: string, id: string, patience = PATIENCE): Promise<ClusterPage> {
    const url = `http://127.0.0.1:${port}/gradio_api/heartbeat/${id}`
    const headers = { 'X-User': user }
    try {
      const signal = AbortSignal.timeout(patience)
      const answer = await fetch(`${url}?n=0`, { method: 'POST', headers, signal })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`Expected the page ${id} to open, got ${answer.status}: ${text}`)
      const { ticket } = JSON.parse(text) as { ticket: string }
      const socket = new WebSocket(`${url.replace('http', 'ws')}?n=0&ticket=${ticket}`, {
        handshakeTimeout: patience,
        perMessageDeflate: false,
      })
      await new Promise<void>((resolve, reject) => {
        socket.once('open', resolve)
        socket.on('error', reject)
      })
      return new ClusterPage(user, id, port, socket)
    } catch (error) {
      void giveUp(port, user, id)
      throw error
    }
  }

  /** Whether the server, or the kill of it, has closed the socket. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Like a network failure, or a browser that crashes. */
  drop(): void {
    this.#socket.terminate()
  }

  /** Like a tab that is closed. */
  async close(): Promise<void> {
    await sayGoodbye(this.#port, this.user, this.id)
    this.#socket.terminate()
  }
}

async function sayGoodbye(port: number, user: string, id: string): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/gradio_api/pagehide/${id}?n=0`, {
    method: 'POST',
    headers: { 'X-User': user },
    signal: AbortSignal.timeout(PATIENCE),
  })
  return answer.ok
}

/**
 * A node that was paused may open the page when it continues, after its user has stopped waiting for it. The goodbye has the epoch of
 * the heartbeat, so that it counts as well when a busy node handles it first.
 */
async function giveUp(port: number, user: string, id: string): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    try {
      if (await sayGoodbye(port, user, id)) return
    } catch (error) {
      // The node is gone, and so is the page.
      if (isRefused(error)) return
    }
    await sleep(500)
  }
}

function isRefused(error: unknown): boolean {
  return ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED'
}

const PATIENCE = 60_000
