import { connect, createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export interface BreakableNetwork {
  readonly port: number
  /** Nothing is transmitted any more, and neither side is notified: as when a cable is pulled, or a phone loses its signal. */
  cut(): void
}

/** A network between a browser and the server at port `to`. */
export async function breakableNetwork(t: TestContext, to: number): Promise<BreakableNetwork> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: (server.address() as { port: number }).port,
    cut() {
      for (const socket of sockets) socket.unpipe().pause()
    },
  }
}
