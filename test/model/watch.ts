import assert from 'node:assert/strict'
import type { Source } from './session.ts'

/** A callback that the end of its session has set off is one of its hooks; the others may come at any time. */
type Call = Source | 'endCallback'

interface Watched {
  loads: number
  unloads: number
  isOver: boolean
  /** The hooks and callbacks that run now. */
  readonly running: Map<object, Call>
}

/**
 * Holds what must be true whatever the model says: no callback twice, one unload per load, no two hooks of a session
 * at once, nothing after the end.
 */
export class Watch {
  readonly #sessions = new Map<string, Watched>()
  readonly #released = new Set<string>()
  readonly #keys = new Set<string>()

  /** Runs a hook or a callback, and watches what else runs until it settles or is given up. */
  during(
    session: string,
    source: Call,
    { key, signal }: { readonly key: string; readonly signal: AbortSignal },
    run: () => unknown,
  ): unknown {
    const watched = this.#begin(session, source)
    assert(!this.#keys.has(`${source} ${key}`), `the key ${key} came twice`)
    this.#keys.add(`${source} ${key}`)
    const call = {}
    const over = () => watched.running.delete(call)
    watched.running.set(call, source)
    signal.addEventListener('abort', over, { once: true })
    let result: unknown
    try {
      result = run()
    } finally {
      if (!(result instanceof Promise)) over()
    }
    if (result instanceof Promise) result.then(over, over)
    return result
  }

  released(value: string): void {
    assert(!this.#released.has(value), `${value} was released twice`)
    this.#released.add(value)
  }

  assertAllOver(): void {
    for (const [session, { isOver, running, loads, unloads }] of this.#sessions) {
      assert(isOver, `${session} has not ended`)
      assert.equal(unloads, loads, `unloads of ${session}`)
      assert.equal(running.size, 0, `hooks of ${session}`)
    }
  }

  #begin(session: string, source: Call): Watched {
    let watched = this.#sessions.get(session)
    if (watched === undefined) {
      watched = { loads: 0, unloads: 0, isOver: false, running: new Map() }
      this.#sessions.set(session, watched)
    }
    assert(!watched.isOver, `${source} of ${session} after its end`)
    const running = [...watched.running.values()]
    if (source !== 'deleteCallback') {
      const others = running.filter(
        other => source === 'ended' || !(other === source || other === 'deleteCallback'),
      )
      assert.deepEqual(others, [], `${source} of ${session} while other hooks run`)
    }
    if (source === 'load') watched.loads++
    if (source === 'unload') watched.unloads++
    if (source === 'ended') watched.isOver = true
    const isLoaded = watched.loads === watched.unloads + 1
    const isRight = source === 'deleteCallback' || isLoaded === (source === 'load')
    assert(isRight, `${source} of ${session} after ${watched.loads} loads and ${watched.unloads} unloads`)
    return watched
  }
}
