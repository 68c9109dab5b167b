import type { IncomingMessage } from 'node:http'
import { GradioStateError } from '../errors.js'

/** The requests of one session whose files are arriving. Each takes memory, and HTTP/2 doesn't limit them. */
export class RunningUploads {
  readonly #requests = new Set<IncomingMessage>()

  /** Counts a request until its body has ended. @throws GradioStateError `TOO_MANY_UPLOADS` */
  add(req: IncomingMessage): void {
    if (this.#requests.has(req) || req.readableEnded || req.destroyed) return
    if (this.#requests.size >= MAX_UPLOADS) throw tooManyUploads()
    this.#requests.add(req)
    const remove = () => this.#requests.delete(req)
    req.once('end', remove).once('close', remove)
  }
}

/** As many streams as Chromium opens on one HTTP/2 connection; other browsers open fewer. */
const MAX_UPLOADS = 256

function tooManyUploads(): GradioStateError {
  return new GradioStateError(
    'TOO_MANY_UPLOADS',
    `Expected at most ${MAX_UPLOADS} uploads of a session at the same time, got one more. Wait for responses before sending more requests.`,
  )
}
