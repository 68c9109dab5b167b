import { GradioStateError, invalid } from '../errors.js'
import type { SharedState } from '../types.js'
import { neglect } from '../util/foreign-promise.js'
import { KeyedMutex } from '../util/keyed-mutex.js'
import { notPromise } from './hooks.js'
import { isSessionSource, SESSION, type SessionAccess, type SharedOwner } from './session-access.js'
import { type AnySharedStateOptions, SharedDefinition } from './shared-definition.js'
import type { SharedValue } from './shared-value-store.js'
import type { SharedAccess } from './shared-values.js'
import { checkChange, refuseOptions } from './value-definition.js'

/** The object that `sharedState()` returns: the methods of one shared value, for all sessions. */
export class SharedHandle extends SharedDefinition implements SharedState<unknown> {
  readonly #shared: SharedAccess
  /** Per session. An update waits for earlier ones of this process, which would otherwise force it to retry. */
  readonly #updates = new KeyedMutex()

  constructor(name: string, options: AnySharedStateOptions, shared: SharedAccess) {
    super(name, options)
    this.#shared = shared
  }

  async get(source: unknown): Promise<unknown> {
    const access = this.#accessTo(source, 'get')
    const { find, begin } = access
    if (begin === undefined || this.initial === undefined) {
      const session = await find()
      const value = session && (await this.#read(session, access))
      return value && this.decode(value.data)
    }
    const session = await begin()
    const value =
      (await this.#read(session, access)) ??
      (await this.#updates.run(session.id, () => this.#writeInitial(session)))
    return this.decode(value.data)
  }

  async set(source: unknown, value: unknown, options?: unknown): Promise<void> {
    const { begin } = this.#accessToWrite(source, 'set')
    refuseOptions(options)
    // Encoded before the first await, so that later changes to the value aren't written.
    const text = this.encode(value)
    await this.#shared.write(await begin(), this, text)
  }

  async update(source: unknown, change: (value: unknown) => unknown): Promise<unknown> {
    const { begin } = this.#accessToWrite(source, 'update')
    checkChange(change)
    const session = await begin()
    return this.#updates.run(session.id, async () => {
      for (;;) {
        const present = await this.#shared.read(session, this.name)
        const value = present === undefined ? this.#initialValue() : this.decode(present.data)
        const text = this.encode(notPromise(change(value)))
        if (await this.#shared.write(session, this, text, present?.version ?? 0)) return this.decode(text)
      }
    })
  }

  async touch(source: unknown): Promise<boolean> {
    const session = await this.#accessToWrite(source, 'touch').find()
    return session !== undefined && this.#shared.touch(session, this)
  }

  async has(source: unknown): Promise<boolean> {
    const access = this.#accessTo(source, 'has')
    const session = await access.find()
    return session !== undefined && (await this.#read(session, access)) !== undefined
  }

  async delete(source: unknown): Promise<boolean> {
    const session = await this.#accessToWrite(source, 'delete').find()
    return session !== undefined && this.#shared.delete(session, this.name)
  }

  #accessTo(source: unknown, method: string): SessionAccess {
    if (!isSessionSource(source)) {
      const expected = 'req.gradioState, what gradio.session(id) returned, or event.session in a hook'
      throw invalid(`the first argument of ${method}()`, expected, source)
    }
    const access = source[SESSION]()
    access.states.check(this)
    return access
  }

  #accessToWrite(source: unknown, method: string): Required<SessionAccess> {
    const access = this.#accessTo(source, method)
    const { begin } = access
    if (begin === undefined) throw readOnly(method)
    return { ...access, begin }
  }

  #read(session: SharedOwner, { begin }: SessionAccess): Promise<SharedValue | undefined> {
    return begin === undefined ? this.#shared.peek(session, this.name) : this.#shared.read(session, this.name)
  }

  /** Writes the initial value, unless another node has written one. @returns the stored value */
  async #writeInitial(session: SharedOwner): Promise<SharedValue> {
    for (;;) {
      const present = await this.#shared.read(session, this.name)
      if (present !== undefined) return present
      const data = this.encode(this.#initialValue())
      if (await this.#shared.write(session, this, data, 0)) return { name: this.name, data, version: 0 }
    }
  }

  #initialValue(): unknown {
    const value = this.initial?.()
    // A promise is refused later, so nothing else handles its rejection.
    neglect(value)
    return value
  }
}

function readOnly(method: string): GradioStateError {
  return new GradioStateError(
    'OPTION_INVALID',
    `Expected the first argument of ${method}() to be req.gradioState, or what gradio.session(id) returned, got the session of an event, which is read-only.`,
  )
}
