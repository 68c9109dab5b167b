import { GradioStateError, show } from '../errors.js'
import { neglect } from '../util/foreign-promise.js'
import { eachBounded } from '../util/limiter.js'
import { type Hooks, notPromise, PARALLEL, type TimeLimit } from './hooks.js'
import type { SessionView } from './session-view.js'
import { SharedDefinition } from './shared-definition.js'
import type { SharedValue, SharedValues, ValueClaim, Writing } from './shared-value-store.js'
import type { Definition, DeleteReason, StateRegistry } from './value-definition.js'
import type { Values } from './values.js'

/** What shared values know of their session. */
export interface SharedOwner {
  readonly token: string
  readonly id: string
  readonly view: SessionView
  readonly values: Pick<Values, 'track'>
  /** Set while the session ends: the shared values that go with it, as far as hooks may read them. */
  sharedAtEnd: readonly SharedValue[] | undefined
}

/** What can be done with the shared values of all sessions. */
export class SharedAccess {
  readonly #store: SharedValues
  readonly #hooks: Hooks
  readonly #states: StateRegistry
  readonly #handle: (claim: ValueClaim) => Promise<void>
  /** The last of those that wait for each other. */
  readonly #turns = new Map<string, Promise<unknown>>()

  /** @param handle lets {@link release} do its work, and settles the claim; never rejects */
  constructor(
    store: SharedValues,
    hooks: Hooks,
    states: StateRegistry,
    handle: (claim: ValueClaim) => Promise<void>,
  ) {
    this.#store = store
    this.#hooks = hooks
    this.#states = states
    this.#handle = handle
  }

  /** The value; where there is none, the initial value is made. */
  async get(session: SharedOwner, state: SharedDefinition): Promise<unknown> {
    const value =
      (await this.#read(session, state.name)) ??
      (state.initial && (await this.#inTurn(session, state, () => this.#begin(session, state))))
    return value && state.decode(value.data)
  }

  /** @param text what the state's codec has made of the value */
  async set(session: SharedOwner, state: SharedDefinition, text: string): Promise<void> {
    await this.#write(session, state, text)
  }

  async update(
    session: SharedOwner,
    state: SharedDefinition,
    change: (value: never) => unknown,
  ): Promise<void> {
    await this.#inTurn(session, state, async () => {
      for (let isWritten = false; !isWritten; ) {
        const present = await this.#read(session, state.name)
        const value = present === undefined ? initialValue(state) : state.decode(present.data)
        const text = state.encode(notPromise(change(value as never)))
        isWritten = await this.#write(session, state, text, present?.version ?? 0)
      }
    })
  }

  async touch({ token, id }: SharedOwner, { name, config }: SharedDefinition): Promise<boolean> {
    return this.#store.touch(token, id, name, config.timeToLive)
  }

  async has(session: SharedOwner, { name }: SharedDefinition): Promise<boolean> {
    return (await this.#read(session, name)) !== undefined
  }

  /** Deletes the value; resolves when its callback has run. */
  async delete({ token, id }: SharedOwner, { name }: SharedDefinition): Promise<boolean> {
    const claim = await this.#store.delete(token, id, name)
    if (claim !== undefined) await this.#handle(claim)
    return claim !== undefined
  }

  /** The value for hooks and callbacks: none is made, and those of a session that has ended are what there was. */
  async peek(session: SharedOwner, state: SharedDefinition): Promise<unknown> {
    this.#states.resolve(state)
    const { sharedAtEnd } = session
    const value =
      sharedAtEnd === undefined
        ? await this.#read(session, state.name).catch(unlessEnded)
        : sharedAtEnd.find(({ name }) => name === state.name)
    return value && state.decode(value.data)
  }

  /** Tells the callback of a value, already gone from the session, that it was deleted. Never rejects. */
  async release(session: SharedOwner, value: SharedValue, reason: DeleteReason): Promise<void> {
    const { name } = value
    const state = this.#states.find(name)
    if (state instanceof SharedDefinition && state.config.deleteCallback === undefined) return
    const context = { source: 'deleteCallback', session: session.id, name } as const
    const running = this.#hooks.call(context, limit => tell(state, session, value, reason, limit))
    if (running === undefined) return
    session.values.track(running)
    await running
  }

  /** Tells the callbacks of all values that have ended with their session. Never rejects. */
  async releaseAll(
    session: SharedOwner,
    values: readonly SharedValue[],
    reason: DeleteReason,
  ): Promise<void> {
    // To a callback, what is being deleted is gone.
    session.sharedAtEnd = []
    await eachBounded(values, PARALLEL, value => this.release(session, value, reason))
    session.sharedAtEnd = values
  }

  async #read({ token, id }: SharedOwner, name: string): Promise<SharedValue | undefined> {
    return this.#store.read(token, id, name)
  }

  /** @returns whether it was written: not over another version than `over` */
  async #write(session: SharedOwner, state: SharedDefinition, text: string, over?: number): Promise<boolean> {
    const { timeToLive, deleteReplaced, deleteCallback } = state.config
    const how: Writing = {
      timeToLive,
      claimReplaced: deleteReplaced && deleteCallback !== undefined,
      ...(over !== undefined && { over }),
    }
    const { written, replaced } = await this.#store.write(session.token, session.id, state.name, text, how)
    if (replaced !== undefined) void this.#handle(replaced)
    return written
  }

  /** The initial value, or what somebody else has written before. */
  async #begin(session: SharedOwner, state: SharedDefinition): Promise<SharedValue> {
    for (;;) {
      const present = await this.#read(session, state.name)
      if (present !== undefined) return present
      const data = state.encode(initialValue(state))
      if (await this.#write(session, state, data, 0)) return { name: state.name, data, version: 0 }
    }
  }

  /** What writes over what it has read waits for the others in this process, instead of failing for their sake. */
  #inTurn<T>(session: SharedOwner, state: SharedDefinition, task: () => Promise<T>): Promise<T> {
    const key = `${session.id}:${state.name}`
    const before = this.#turns.get(key)
    const turn = before === undefined ? task() : before.then(task, task)
    this.#turns.set(key, turn)
    const pass = () => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
    turn.then(pass, pass)
    return turn
  }
}

function initialValue(state: SharedDefinition): unknown {
  const value = state.initial?.()
  // It is refused for what it is.
  neglect(value)
  return value
}

function tell(
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
    `Expected sharedState(${show(name)}) in this process too, got a deleted value of it, whose callback, if it has one, can't be told.`,
  )
}
