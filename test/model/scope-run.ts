import assert from 'node:assert/strict'
import {
  type GradioState,
  GradioStateError,
  gradioState,
  type ScopeState,
  type SessionView,
} from '../../lib/index.ts'
import { type FakeClock, fakeClock } from '../../lib/testing/index.ts'
import type { Place } from '../support/cluster/places.ts'
import { closeNow } from '../support/sessions/close-now.ts'
import { type TestConnection, type TestRequest, testUser } from '../support/sessions/harness.ts'
import { type Mode, type ScopeAction, type ScopeUse, SOURCES, type Source } from './scope-actions.ts'
import { ScopeWatch } from './scope-watch.ts'

const KEYS = ['a', 'b', 'c', 'd']
const GRACE = 60
const MAX_SCOPES = 3
const MAX_SESSIONS = 3
/** How long a slow hook takes; less than the time limit. */
const SLOW = 3_001
/** What a use may throw. */
const REFUSALS = new Set(['SESSION_ENDED', 'TOO_MANY_SCOPES', 'TOO_MANY_SESSIONS', 'TOO_MANY_WAITING'])

/** Uses sessions with scopes, and checks the invariants. */
export class ScopeRun {
  readonly #clock: FakeClock
  readonly #gradio: GradioState
  readonly #watch = new ScopeWatch()
  readonly #modes: Record<Source, Mode> = {
    load: 'returns',
    unload: 'returns',
    ended: 'returns',
    deleteCallback: 'returns',
  }
  readonly #requests: TestRequest[] = []
  readonly #connections: TestConnection[] = []
  #labels = 0
  readonly #isShared: boolean
  /** An assertion in a hook fails there, and is reported like an error of the app. */
  readonly #failures: unknown[] = []

  constructor(place?: Place) {
    this.#isShared = place?.cluster !== undefined
    this.#clock = place?.clock ?? fakeClock()
    this.#gradio = gradioState({
      clock: this.#clock,
      identify: req => req.headers['x-user'] as string,
      gracePeriod: GRACE,
      maxScopes: MAX_SCOPES,
      maxSessions: MAX_SESSIONS,
      ...(place?.cluster && { cluster: place.cluster }),
    })
    this.#gradio.on('error', error => {
      if (error instanceof assert.AssertionError) this.#failures.push(error)
    })
    const watch = this.#watch
    const scoped = { scoped: true }
    this.#gradio.load(event => watch.load(event, () => this.#behave('load', event.session)), scoped)
    this.#gradio.unload(event => watch.unload(event, () => this.#behave('unload', event.session)), scoped)
    this.#gradio.ended(event => watch.ended(event, () => this.#behave('ended', event.session)), scoped)
  }

  async step(action: ScopeAction): Promise<void> {
    switch (action.do) {
      case 'request':
        await this.#begin(`user ${action.user % 5}`)
        break
      case 'answer':
        this.#take(this.#requests, action.request)?.end()
        break
      case 'connect':
        // It may wait for unload hooks.
        void this.#allow(async () => {
          this.#connections.push(await testUser(this.#gradio, `user ${action.user % 5}`).connect())
        })
        break
      case 'disconnect':
        this.#take(this.#connections, action.connection)?.close()
        break
      case 'use': {
        const request = this.#requests[action.request % this.#requests.length]
        if (request !== undefined)
          this.#use(request.state.scoped(this.#key(action)), action.use, request.state)
        break
      }
      case 'useKnown': {
        const session = this.#session(action.session)
        if (session !== undefined) this.#use(session.scoped(this.#key(action)), action.use, session)
        break
      }
      case 'endSession':
        void this.#session(action.session)?.end()
        break
      case 'mode':
        this.#modes[action.of] = action.mode
        break
      case 'wait':
        await this.#clock.advance(action.ms / 1000)
        break
    }
    await this.#clock.advance(0)
    this.#check()
  }

  /** Everybody leaves, or the instance is closed. */
  async finish(how: 'leave' | 'close'): Promise<void> {
    for (const source of SOURCES) this.#modes[source] = 'returns'
    // In a cluster, a node that closes leaves its sessions to the others.
    if (how === 'close' && !this.#isShared) {
      void this.#gradio.close({ timeout: '10m' })
    } else {
      // Until then, requests wait for unload hooks.
      await this.#clock.advance(GRACE / 2)
      for (const { close } of this.#connections) close()
      for (const { end } of this.#requests) end()
    }
    await this.#clock.advance(4 * GRACE)
    this.#check()
    this.#watch.assertOver()
    const { sessions, open, loaded, ending, pages, values } = this.#gradio.stats()
    assert.deepEqual([sessions, open, loaded, ending, pages, values], [0, 0, 0, 0, 0, 0])
    await closeNow(this.#gradio, this.#clock)
  }

  #check(): void {
    if (this.#failures.length > 0) throw this.#failures[0]
    assert.ok(this.#gradio.stats().sessions <= MAX_SESSIONS)
  }

  async #begin(user: string): Promise<void> {
    const begun = testUser(this.#gradio, user).begin()
    // It may wait for unload hooks.
    begun.then(
      request => this.#requests.push(request),
      error => {
        if (!isRefusal(error)) this.#failures.push(error)
      },
    )
    await this.#clock.advance(0)
  }

  #use(scope: ScopeState, use: ScopeUse, session: ScopeState): void {
    void this.#allow(async () => {
      switch (use) {
        case 'set':
          this.#set(scope)
          break
        case 'setInSession':
          this.#set(session)
          break
        case 'get':
          scope.get('thing')
          break
        case 'delete':
          await scope.delete('thing')
          break
        case 'has':
          scope.has('thing')
          break
        case 'id':
          assert.match(scope.id, /^[\da-f-]{36}$/)
          break
        case 'end':
          await scope.end()
      }
    })
  }

  #set(state: ScopeState): void {
    const label = `${++this.#labels}`
    // Throws if it has ended, before the value is set.
    void state.id
    this.#watch.set(label)
    state.set('thing', label, {
      deleteReplaced: true,
      deleteCallback: (value, event) => {
        this.#watch.released(value, event)
        return this.#behave('deleteCallback', event.session)
      },
    })
  }

  #behave(source: Source, { id, parent }: SessionView): unknown {
    const session = this.#gradio.session(id)
    switch (this.#modes[source]) {
      case 'returns':
        return undefined
      case 'resolves':
        return Promise.resolve()
      case 'throws':
        throw new Error('thrown')
      case 'slow':
        return new Promise<void>(resolve => this.#clock.setTimer(resolve, SLOW))
      case 'hangs':
        return new Promise(() => {})
      case 'uses':
        if (source !== 'deleteCallback' && session !== undefined)
          void this.#allow(async () => this.#set(session))
        return undefined
      case 'ends':
        return session?.end()
      case 'endsParent':
        return parent && this.#gradio.session(parent.id)?.end()
    }
  }

  /** Runs what may be refused. */
  async #allow(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!isRefusal(error)) this.#failures.push(error)
    }
  }

  #session(number: number) {
    const sessions = this.#gradio.sessions()
    return sessions[number % sessions.length]
  }

  #key({ key }: { key: number }): string {
    return KEYS[key % KEYS.length] as string
  }

  #take<T>(list: T[], index: number): T | undefined {
    return list.length === 0 ? undefined : list.splice(index % list.length, 1)[0]
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof GradioStateError && REFUSALS.has(error.code)
}
