import assert from 'node:assert/strict'
import type { DeleteEvent, HookEvent, LeaveEvent, Reason, SessionView } from '../../lib/index.ts'
import { runHook } from './run-hook.ts'

/** What is known of one session or scope, from its hooks and callbacks. */
interface Watched {
  readonly id: string
  readonly parent: Watched | undefined
  readonly scopes: Set<Watched>
  loads: number
  unloads: number
  ended: Reason | undefined
  /** Its hooks that are running. */
  running: number
}

/**
 * Checks invariants of sessions with scopes: no scope without its session, one unload for each load, one end, and each callback
 * once, in the right order.
 */
export class ScopeWatch {
  readonly #all = new Map<string, Watched>()
  readonly #keys = new Set<string>()
  /** The values that were set and not released, and those that were. */
  readonly #held = new Set<string>()
  readonly #released = new Set<string>()

  set(label: string): void {
    this.#held.add(label)
  }

  load(event: HookEvent, run: () => unknown): unknown {
    const watched = this.#of(event.session)
    assert.equal(watched.loads, watched.unloads, `load of ${watched.id} while it is loaded`)
    assert.equal(watched.ended, undefined, `load of ${watched.id} after its end`)
    watched.loads++
    const { parent } = watched
    if (parent !== undefined) {
      assert.equal(parent.ended, undefined, `load of a scope after the end of ${parent.id}`)
      assert.equal(parent.loads, parent.unloads + 1, `load of a scope while ${parent.id} isn't loaded`)
      assert.equal(parent.running, 0, `load of a scope during a hook of ${parent.id}`)
    }
    return this.#run(watched, 'load', event, run)
  }

  unload(event: LeaveEvent, run: () => unknown): unknown {
    const watched = this.#of(event.session)
    assert.equal(watched.loads, watched.unloads + 1, `unload of ${watched.id} while it isn't loaded`)
    watched.unloads++
    for (const scope of watched.scopes) {
      assert.equal(scope.loads, scope.unloads, `unload of ${watched.id} before that of a scope`)
      if (scope.ended === undefined)
        assert.equal(scope.running, 0, `unload of ${watched.id} during a hook of a scope`)
    }
    return this.#run(watched, 'unload', event, run)
  }

  ended(event: LeaveEvent, run: () => unknown): unknown {
    const watched = this.#of(event.session)
    assert.equal(watched.ended, undefined, `${watched.id} ended twice`)
    assert.equal(watched.loads, watched.unloads, `${watched.id} ended before its unload`)
    watched.ended = event.reason
    for (const scope of watched.scopes) assert.ok(scope.ended, `${watched.id} ended before a scope`)
    return this.#run(watched, 'ended', event, run)
  }

  released(label: string, { session, key }: DeleteEvent): void {
    assert.ok(
      this.#held.delete(label),
      `${label} was released, but ${this.#released.has(label) ? 'before' : 'never set'}`,
    )
    this.#released.add(label)
    const watched = this.#of(session)
    assert.equal(watched.ended, undefined, `a callback after the end of ${watched.id}`)
    assert.equal(watched.parent?.ended, undefined, `a callback of a scope after the end of its session`)
    this.#note(`deleteCallback ${key}`)
  }

  /** Everything has ended. */
  assertOver(): void {
    for (const { id, ended, loads, unloads, running } of this.#all.values()) {
      assert.ok(ended, `${id} should have ended`)
      assert.deepEqual([loads, running], [unloads, 0], `hooks of ${id}`)
    }
    assert.deepEqual([...this.#held], [], 'values without a callback')
  }

  #run(watched: Watched, source: string, { key, signal }: HookEvent, run: () => unknown): unknown {
    this.#note(`${source} ${key}`)
    assert.equal(watched.running, 0, `two hooks of ${watched.id}`)
    watched.running = 1
    return runHook(signal, run, () => {
      watched.running = 0
    })
  }

  #note(key: string): void {
    assert.ok(!this.#keys.has(key), `${key} was used twice`)
    this.#keys.add(key)
  }

  #of(view: SessionView): Watched {
    const known = this.#all.get(view.id)
    if (known !== undefined) return known
    const parent = view.parent && this.#of(view.parent)
    const watched: Watched = {
      ...{ id: view.id, parent, scopes: new Set<Watched>(), loads: 0, unloads: 0, running: 0 },
      ended: undefined,
    }
    parent?.scopes.add(watched)
    this.#all.set(view.id, watched)
    return watched
  }
}
