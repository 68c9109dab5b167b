import { randomUUID } from 'node:crypto'
import type { RequestHandler } from 'express'

/** An unknown session middleware: a plain object per browser, in memory. `POST /logout` empties it. */
export function customSession(): RequestHandler {
  const sessions = new Map<string, object>()
  return (req, res, next) => {
    const known = /\bkept=([\w-]+)/.exec(req.headers.cookie ?? '')?.[1]
    const id = known !== undefined && sessions.has(known) ? known : randomUUID()
    if (id !== known) {
      sessions.set(id, {})
      res.append('Set-Cookie', `kept=${id}; Path=/`)
    }
    if (req.path === '/logout') {
      sessions.delete(id)
      res.end()
      return
    }
    Object.assign(req, { session: sessions.get(id) })
    next()
  }
}
