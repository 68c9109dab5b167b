import assert from 'node:assert/strict'
import type { Place } from '../support/cluster/places.ts'
import type { Action } from './actions.ts'
import { ModelAndLibrary } from './model-and-library.ts'
import { HOOK_TIMEOUT, type Settings } from './session.ts'

/** Performs actions in the model and in the library, and compares what happens. */
export class ModelRun {
  readonly #both: ModelAndLibrary
  readonly #gracePeriod: number
  readonly #isCluster: boolean
  steps = 0

  constructor(settings: Settings, place?: Place) {
    this.#both = new ModelAndLibrary(settings, place)
    this.#gracePeriod = settings.gracePeriod
    this.#isCluster = place?.cluster !== undefined
  }

  /** Performs an action in both, and compares the results. */
  async step(action: Action): Promise<void> {
    if (this.#isCluster && action.do === 'burst') {
      // Simultaneous actions take effect in the order of the cluster's answers, which the model doesn't know.
      for (const each of action.actions) await this.step(each)
      return
    }
    if (action.do === 'wait') await this.#pass(action.ms)
    else if (action.do === 'waitUntilDue') await this.#pass(this.#due(action.offset))
    else await this.#passUntilQuiet()
    if (!this.#both.do(action)) return
    this.steps += action.do === 'burst' ? action.actions.length : 1
    await this.#pass(0)
    if (!this.#both.isClosed) await this.#follow()
  }

  /** Open pages move to the session that their browser's cookie leads to, as the client does. */
  async #follow(): Promise<void> {
    for (const page of this.#both.pages) {
      const stale = this.#both.staleSessionOf(page)
      if (stale === undefined) continue
      await this.#passUntilQuiet()
      this.#both.movePage(page, stale)
      await this.#pass(0)
    }
  }

  /** All users leave and the time passes, or the instance is closed. In both cases, nothing may be left. */
  async finish(how: 'leave' | 'close'): Promise<void> {
    const { model, library } = this.#both
    const wasClosed = this.#both.isClosed
    await this.#passUntilQuiet()
    library.closeLateSockets()
    if (how === 'leave') {
      this.#both.leave()
      await this.#pass(1)
      // A page without a socket stays open for 95 s and its record for 120 s more, and hooks that hang take 5 s each.
      await this.#pass(this.#gracePeriod + 300_000)
      library.assertNothingIsLeft()
    }
    await this.step({ do: 'close', timeout: 25_000 })
    while (Number.isFinite(model.time.timeToNext)) await this.#pass(model.time.timeToNext)
    // A time limit of a hook or of a closing socket may leave a timer that finds nothing to do. So may the pings of a socket
    // that closes after the instance.
    await this.#pass(wasClosed ? 60_000 : HOOK_TIMEOUT)
    library.assertNothingIsLeft()
    library.assertNobodyIsConnected()
  }

  #due(offset: number): number {
    const { timeToNext } = this.#both.model.time
    return Number.isFinite(timeToNext) ? Math.max(timeToNext + offset, 0) : 1
  }

  /** Advances past the times at which something was due: if an action started at the same time, the order would be undefined. */
  async #passUntilQuiet(): Promise<void> {
    do await this.#pass(1)
    while (this.#both.model.time.hasJustRun)
  }

  async #pass(ms: number): Promise<void> {
    const { model, library } = this.#both
    model.time.advance(ms)
    await library.clock.advance(`${ms}ms`)
    this.#both.noteCookies()
    this.#compare()
    if (model.lifecycle.timedOut !== undefined)
      assert.deepEqual(await library.closing, model.lifecycle.timedOut)
  }

  #compare(): void {
    const { model, library } = this.#both
    assert.deepEqual(library.log.take().sort(), model.time.takeLog().sort())
    const known = [...model.sessions.values()]
    const { sessions, open, loaded, ending, pages, ended } = library.gradio.stats()
    assert.deepEqual(
      { sessions, open, loaded, ending, pages, ended },
      {
        sessions: known.length,
        open: known.filter(session => session.open).length,
        loaded: known.filter(session => session.phase === 'loaded').length,
        ending: model.ending.size,
        pages: known.flatMap(session => [...session.entries]).filter(entry => entry.kind === 'page').length,
        ended: { ...model.ended, expired: 0, destroyed: 0, regenerated: 0 },
      },
    )
    for (const session of known)
      assert.equal(library.app.show(session.name), session.show(), `the values of ${session.name}`)
    for (const { label, load, ended } of model.requests.all) {
      const { signal } = library.requests.get(label)!
      if (ended || signal === undefined) continue
      assert.equal(signal.aborted, load?.over ?? false, `whether the signal of ${label} is aborted`)
    }
  }
}
