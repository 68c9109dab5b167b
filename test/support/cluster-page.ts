import { connect, type Socket } from 'node:net'

/** A page of a user's, kept open by an event stream. Bare sockets, since there are thousands of them. */
export class ClusterPage {
  readonly user: string
  readonly id: string
  /** When the answer came: from then on the page is surely counted. */
  readonly openedAt: number
  /** Resolves when the stream has ended, whoever did it. */
  readonly over: Promise<void>
  readonly #port: number
  readonly #socket: Socket
  #isOver = false

  private constructor(user: string, id: string, port: number, socket: Socket) {
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

  /** Resolves when the server has begun its stream. */
  static open(port: number, user: string, id: string, patience = PATIENCE): Promise<ClusterPage> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.setTimeout(patience, () => socket.destroy(new Error(`Expected the page ${id} to open in time`)))
      socket.once('error', reject)
      socket.once('close', () =>
        reject(new Error(`Expected a stream for the page ${id}, got a closed socket`)),
      )
      socket.once('data', chunk => {
        socket.setTimeout(0)
        const head = chunk.toString()
        if (head.startsWith('HTTP/1.1 200 ')) resolve(new ClusterPage(user, id, port, socket))
        else socket.destroy(new Error(`Expected a stream for the page ${id}, got ${head.slice(0, 400)}`))
        socket.resume()
      })
      socket.write(
        `GET /gradio_api/heartbeat/${id} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-User: ${user}\r\n\r\n`,
      )
    })
  }

  /** Whether the server, or the kill of it, has ended the stream. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** As a network that breaks off, or a browser that crashes. */
  drop(): void {
    this.#socket.destroy()
  }

  /** As a tab that is closed. */
  async close(): Promise<void> {
    await fetch(`http://127.0.0.1:${this.#port}/gradio_api/pagehide/${this.id}`, {
      method: 'POST',
      headers: { 'X-User': this.user },
      signal: AbortSignal.timeout(PATIENCE),
    })
    this.#socket.destroy()
  }
}

const PATIENCE = 20_000
