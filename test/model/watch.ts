import assert from 'node:assert/strict'
import { runHook } from './run-hook.ts'
import type { Source } from './session.ts'

/** `endCallback`: a delete callback that the end of the session caused. It is ordered like the hooks; others may run at any time. */
type Call = Source | 'endCallback'

interface Watched {
  loads: number
  unloads: number
  isOver: boolean
  /** The hooks and callbacks that are running. */
  readonly running: Map<object, Call>
}

/**
 * Checks invariants that don't depend on the model: no callback runs twice, one unload per load, no two hooks of a
 * session at the same time, nothing after the end.
 */
export class Watch {
  readonly #sessions = new Map<string, Watched>()
  readonly #released = new Set<string>()
  readonly #keys = new Set<string>()

  /** Runs a hook or a callback, and records it as running until it settles or its signal aborts. */
  during(
    session: string,
    source: Call,
    { key, signal }: { readonly key: string; readonly signal: AbortSignal },
    run: () => unknown,
  ): unknown {
    const watched = this.#begin(session, source)
    assert(!this.#keys.has(`${source} ${key}`), `the key ${key} was used twice`)
    this.#keys.add(`${source} ${key}`)
    const call = {}
    watched.running.set(call, source)
    return runHook(signal, run, () => watched.running.delete(call))
  }

  released(value: string): void {
    assert(!this.#released.has(value), `${value} was released twice`)
    this.#released.add(value)
  }

  assertAllOver(): void {
    for (const [session, { isOver, running, loads, unloads }] of this.#sessions) {
      assert(isOver, `${session} should have ended`)
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
    const isInOrder = source === 'deleteCallback' || isLoaded === (source === 'load')
    assert(isInOrder, `${source} of ${session} after ${watched.loads} loads and ${watched.unloads} unloads`)
    return watched
  }
}
