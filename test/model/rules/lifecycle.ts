import type { Model } from '../model.ts'
import type { Done, EndReason, Session } from '../session.ts'

/** How sessions are loaded, unloaded and ended, and how the instance is closed. */
export class Lifecycle {
  /** The result of `close()`; `undefined` before it resolves. */
  timedOut: string[] | undefined
  /** Set while `close()` is pending: the hooks and callbacks that exceeded their time limit. */
  #exceeded: string[] | undefined
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  reload(session: Session): void {
    session.phase = 'loaded'
    session.load = { over: false }
    session.hadPage = session.holds('page')
    this.runLoad(session)
  }

  runLoad(session: Session): void {
    this.#model.hooks.inOrder(session, done => this.#model.hooks.run(session, 'load', '', done))
  }

  runDueUnload(session: Session): void {
    session.expectedPages = []
    this.unload(session, 'disconnected', () => {
      if (session.over === undefined) session.phase = 'unloaded'
      const { waiting } = session
      session.waiting = []
      for (const entry of waiting) {
        if (!entry.left && !session.over) {
          if (session.phase === 'unloaded') this.reload(session)
          if (entry.kind !== 'page')
            session.unloadAt = Math.max(
              session.unloadAt,
              this.#model.time.now + this.#model.settings.unloadDelay,
            )
        }
      }
      for (const entry of waiting) this.#model.time.soon(() => this.#model.entries.ready(entry))
    })
  }

  unload(session: Session, reason: EndReason, settled: Done): void {
    session.phase = 'unloading'
    session.load.over = true
    this.#model.hooks.inOrder(session, done => {
      // In a cluster, if the session ends before the unload runs, the end takes over the claim and runs the unload hooks.
      const overtakenBy = this.#model.settings.isAsync ? session.over : undefined
      if (overtakenBy !== undefined) settled()
      this.#model.hooks.run(session, 'unload', overtakenBy ?? reason, () => {
        done()
        if (overtakenBy === undefined) settled()
      })
    })
  }

  /** The app ends a session by its id. */
  endSession(label: string, session: Session): void {
    this.end(session, 'ended', () => this.#model.time.say(`${label} ended ${session.name}`))
  }

  whenFinished(session: Session, run: Done): void {
    if (this.#model.ending.has(session)) session.finished.push(run)
    else run()
  }

  end(session: Session, reason: EndReason, finished?: Done): void {
    if (finished !== undefined) session.finished.push(finished)
    session.over = reason
    session.load.over = true
    this.#model.sessions.delete(session.token)
    this.#model.ending.add(session)
    this.#model.ended[reason]++
    for (const page of session.pages.values()) {
      if (page.connection !== undefined) this.#model.time.say(`${page.connection.label} notified ${reason}`)
      page.entry = page.ticket = undefined
      page.connection = undefined
    }
    session.pages.clear()
    if (session.phase === 'loaded') this.unload(session, reason, () => {})
    this.#model.hooks.inOrder(session, done =>
      this.#model.values.deleteAll(session, reason, () =>
        this.#model.hooks.run(session, 'ended', reason, () => {
          this.#model.ending.delete(session)
          for (const finished of session.finished) finished()
          done()
        }),
      ),
    )
  }

  close(timeout: number): void {
    this.#model.isClosing = true
    const exceeded: string[] = []
    this.#exceeded = exceeded
    const resolve = () => {
      if (this.#exceeded === undefined) return
      this.#exceeded = undefined
      const unfinished = [...this.#model.ending].map(session => `session ${session.name}`)
      this.timedOut = [...exceeded, ...unfinished].sort()
    }
    for (const session of [...this.#model.sessions.values()]) this.end(session, 'shutdown')
    const unfinished = new Set(this.#model.ending)
    for (const session of this.#model.ending) {
      session.finished.push(() => {
        unfinished.delete(session)
        if (unfinished.size === 0) resolve()
      })
    }
    if (unfinished.size === 0) resolve()
    else this.#model.time.later(timeout, resolve)
  }

  /** A hook or a callback has exceeded its time limit. */
  noteOutran(call: string): void {
    this.#exceeded?.push(call)
  }
}
