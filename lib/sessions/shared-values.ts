import { GradioStateError, show } from '../errors.js'
import type { DeleteReason } from '../types.js'
import { eachBounded } from '../util/limiter.js'
import { type Hooks, MAX_PARALLEL, type TimeLimit } from './hooks.js'
import type { SharedOwner } from './session-access.js'
import { SharedDefinition } from './shared-definition.js'
import type { SharedValue, SharedValueStore, ValueClaim, WriteOptions } from './shared-value-store.js'
import type { Definition, StateRegistry } from './value-definition.js'

/** The shared values of all sessions, and their callbacks. */
export class SharedAccess {
  readonly #store: SharedValueStore
  readonly #hooks: Hooks
  readonly #states: StateRegistry
  readonly #handle: (claim: ValueClaim, session: SharedOwner) => Promise<void>

  /** @param handle runs the callback of a claim by {@link release}. Never rejects */
  constructor(
    store: SharedValueStore,
    hooks: Hooks,
    states: StateRegistry,
    handle: (claim: ValueClaim, session: SharedOwner) => Promise<void>,
  ) {
    this.#store = store
    this.#hooks = hooks
    this.#states = states
    this.#handle = handle
  }

  read({ token, id }: SharedOwner, name: string): Promise<SharedValue | undefined> {
    return this.#store.read(token, id, name)
  }

  /** Like {@link read}, for hooks and callbacks: in a session that has ended, returns the final value. */
  async peek(session: SharedOwner, name: string): Promise<SharedValue | undefined> {
    const { sharedAtEnd } = session
    if (sharedAtEnd !== undefined) return sharedAtEnd.find(value => value.name === name)
    return this.read(session, name).catch(unlessEnded)
  }

  /** @returns whether it was written: not if `ifVersion` isn't the current version */
  async write(
    session: SharedOwner,
    state: SharedDefinition,
    text: string,
    ifVersion?: number,
  ): Promise<boolean> {
    const { timeToLive, deleteReplaced, deleteCallback } = state.config
    const options: WriteOptions = {
      timeToLive,
      claimReplaced: deleteReplaced && deleteCallback !== undefined,
      ...(ifVersion !== undefined && { ifVersion }),
    }
    const { written, replaced } = await this.#store.write(
      session.token,
      session.id,
      state.name,
      text,
      options,
    )
    if (replaced !== undefined) void this.#handle(replaced, session)
    return written
  }

  touch({ token, id }: SharedOwner, { name, config }: SharedDefinition): Promise<boolean> {
    return this.#store.touch(token, id, name, config.timeToLive)
  }

  /** Deletes the value. Resolves when its callback has settled. */
  async delete(session: SharedOwner, name: string): Promise<boolean> {
    const claim = await this.#store.delete(session.token, session.id, name)
    if (claim !== undefined) await this.#handle(claim, session)
    return claim !== undefined
  }

  /** Runs the delete callback of a value that was already removed from the session. Never rejects. */
  async release(session: SharedOwner, value: SharedValue, reason: DeleteReason): Promise<void> {
    const { name } = value
    this.#hooks.events.valueDeleted(session.id, name, reason)
    const state = this.#states.find(name)
    if (state instanceof SharedDefinition && state.config.deleteCallback === undefined) return
    const context = { source: 'deleteCallback', session: session.id, name } as const
    const running = this.#hooks.call(context, limit => runCallback(state, session, value, reason, limit))
    if (running === undefined) return
    session.values.track(running)
    await running
  }

  /** Runs the delete callbacks of all values that have ended with their session. Never rejects. */
  async releaseAll(
    session: SharedOwner,
    values: readonly SharedValue[],
    reason: DeleteReason,
  ): Promise<void> {
    // Callbacks can't read the values that are being deleted.
    session.sharedAtEnd = []
    await eachBounded(values, MAX_PARALLEL, value => this.release(session, value, reason))
    session.sharedAtEnd = values
  }
}

function runCallback(
  state: Definition | undefined,
  session: SharedOwner,
  { name, data, version }: SharedValue,
  reason: DeleteReason,
  limit: TimeLimit,
): unknown {
  if (!(state instanceof SharedDefinition)) throw unknown(name)
  return state.config.deleteCallback?.(state.decode(data), {
    reason,
    session: session.view,
    name,
    key: `${session.id}:shared:${version}:${name}`,
    get signal() {
      return limit.signal
    },
  })
}

function unlessEnded(error: unknown): undefined {
  if (!(error instanceof GradioStateError) || error.code !== 'SESSION_ENDED') throw error
}

function unknown(name: string): GradioStateError {
  return new GradioStateError(
    'STATE_UNKNOWN',
    `Expected sharedState(${show(name)}) to be defined in this process too, got no definition. A value of it was deleted, and its callback can't run.`,
  )
}
