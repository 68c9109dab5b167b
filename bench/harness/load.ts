import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Load {
  readonly port: number
  readonly path: string
  readonly cookie: string
  readonly requests: number
  readonly connections: number
}

/** Sends requests over raw sockets, so that the client costs little compared with the server. */
export async function load({ port, path, cookie, requests, connections }: Load): Promise<void> {
  const head = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\n\r\n`
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(port, '127.0.0.1').setEncoding('latin1')
      await once(socket, 'connect')
      return socket
    }),
  )
  await Promise.all(sockets.map(socket => send(socket, head, requests / connections)))
  for (const socket of sockets) socket.destroy()
}

function send(socket: Socket, head: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let answered = 0
    let answer = ''
    socket.once('error', reject)
    socket.on('data', piece => {
      // express-session delays the last byte until the store has responded.
      answer += piece
      if (!answer.endsWith(`\r\n\r\n${BODY}`)) return
      if (!answer.startsWith('HTTP/1.1 200')) return reject(new Error(`Expected 200, got ${answer}`))
      answer = ''
      if (++answered === count) resolve()
      else socket.write(head)
    })
    socket.write(head)
  })
}

/** The body of every response. */
export const BODY = '0'
