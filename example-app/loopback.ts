import type { IncomingMessage } from 'node:http'

/**
 * Whether a browser on this machine has sent the request, directly and under the machine's own name: not through a proxy, and not under
 * another host name that resolves to this machine.
 */
export function isLoopback({ socket, headers }: IncomingMessage): boolean {
  const isLocal = /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? '')
  return (
    isLocal &&
    headers['x-forwarded-for'] === undefined &&
    headers.forwarded === undefined &&
    /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(headers.host ?? '')
  )
}
