import type { ServerResponse } from 'node:http'
import type { Deadlines, Due } from '../core/deadlines.js'
import type { EndReason } from '../engines/engine.js'
import { WheelNode } from '../timer-wheel.js'
import { scheduleBeat } from './beats.js'
import type { Connection } from './connection.js'
import type { Page } from './page.js'

/** An event stream such as Gradio's, for clients that aren't ours: a bare `EventSource`, curl. */
export class StreamConnection extends WheelNode implements Connection, Due {
  readonly isExclusive = false
  readonly #res: ServerResponse
  readonly #end: () => void
  readonly #deadlines: Deadlines
  readonly #heartbeat: number

  /** @param end ends the response */
  constructor(res: ServerResponse, page: Page, deadlines: Deadlines, heartbeat: number, end: () => void) {
    super()
    this.#res = res
    this.#end = end
    this.#deadlines = deadlines
    this.#heartbeat = heartbeat
    res.once('close', () => {
      this.#deadlines.cancel(this)
      page.disconnect(this, false)
    })
    page.connect(this)
    this.run()
  }

  close(reason: EndReason): void {
    this.#deadlines.cancel(this)
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

  /** A beat is due. */
  run(): void {
    this.#res.write('data: ALIVE\n\n')
    scheduleBeat(this.#deadlines, this, this.#heartbeat)
  }
}
