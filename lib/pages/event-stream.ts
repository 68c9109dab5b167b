import type { ServerResponse } from 'node:http'
import type { EndReason } from '../sessions/engine.js'
import { type Exchange, whenOver } from '../util/response-over.js'
import type { Beats } from './beats.js'
import type { Connection } from './connection.js'
import type { Page } from './page.js'

/** An event stream such as Gradio's, for clients that aren't ours: a bare `EventSource`, curl. */
export class StreamConnection implements Connection {
  readonly isExclusive = false
  readonly beats: Beats
  readonly #res: ServerResponse
  readonly #end: () => void

  /** @param end ends the response */
  constructor(
    { req, res }: Exchange & { readonly res: ServerResponse },
    page: Page,
    beats: Beats,
    end: () => void,
  ) {
    this.#res = res
    this.#end = end
    this.beats = beats
    page.connect(this)
    this.beat()
    whenOver({ req, res }, () => page.disconnect(this, false))
  }

  close(reason: EndReason): void {
    this.#res.write(`event: close\ndata: ${reason}\n\n`)
    this.#end()
  }

  /** What foreign clients do about their cookies is their own affair. */
  renew(): boolean {
    return false
  }

  terminate(): void {
    this.#res.destroy()
  }

  beat(): void {
    this.#res.write('data: ALIVE\n\n')
  }
}
