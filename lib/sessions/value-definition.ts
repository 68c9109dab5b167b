import { GradioStateError, invalid, show } from '../errors.js'
import { duration, known, optionalFunction } from '../parse.js'
import type { DeleteEvent, State, StateOptions, ValueOptions } from '../types.js'
import { findUncloneable, PLAIN, prototypesOf } from './cloneable.js'

/** The options of a state of unknown type. */
export interface AnyStateOptions extends ValueOptions<never> {
  value?: unknown
}

/** {@link ValueOptions}, validated; the duration in milliseconds. */
export interface ValueConfig {
  readonly timeToLive: number
  readonly deleteCallback: ((value: unknown, event: DeleteEvent) => unknown) | undefined
  /** Whether the callback or the disposer runs when the value is overwritten. */
  readonly deleteReplaced: boolean
}

/** The object that `state()` or `sharedState()` returns. */
export abstract class Definition {
  readonly name: string
  readonly config: ValueConfig
  /** Makes the initial value; `undefined` if there is none. */
  abstract readonly initial: (() => unknown) | undefined

  /** @param what the name of the options in messages */
  constructor(name: string, what: string, options: ValueOptions<never>) {
    this.name = name
    this.config = valueConfig(what, options)
  }

  /** The options that all nodes of a cluster need to have the same, as text. */
  agreedOptions(): Readonly<Record<string, string>> {
    return {}
  }
}

export class StateDefinition extends Definition implements State<unknown> {
  readonly initial: (() => unknown) | undefined

  constructor(name: string, options: AnyStateOptions) {
    const what = `the options of state ${show(name)}`
    known(what, options, STATE_OPTIONS)
    super(name, what, options)
    this.initial = initialValue(name, options.value)
  }
}

/** The definitions of one instance. */
export class StateRegistry {
  readonly #definitions = new Map<string, Definition>()

  /** @throws GradioStateError if the name isn't a string, or is already defined */
  define<D extends Definition>(name: string, make: () => D): D {
    checkName(name)
    if (this.#definitions.has(name)) {
      throw new GradioStateError(
        'STATE_DUPLICATE',
        `Expected one definition of state ${show(name)}, got a second one. Keep the object that the first one returned, and use it.`,
      )
    }
    const definition = make()
    this.#definitions.set(name, definition)
    return definition
  }

  /** See {@link Definition.agreedOptions}. */
  agreedOptions(): Record<string, string> {
    const all: Record<string, string> = {}
    for (const [name, definition] of this.#definitions)
      for (const [option, value] of Object.entries(definition.agreedOptions()))
        all[`${option} of shared state ${show(name)}`] = value
    return all
  }

  find(name: string): Definition | undefined {
    return this.#definitions.get(name)
  }

  /** Resolves an argument of a session's method: what `state()` returned, or a plain name. */
  resolve(state: NamedState): ResolvedState {
    if (typeof state === 'string') {
      checkName(state)
      if (!this.#definitions.has(state)) return { name: state, initial: undefined, config: undefined }
      throw new GradioStateError(
        'STATE_DEFINED',
        `Expected a plain name without a definition, got ${show(state)}, which is defined. Use the object that state() or sharedState() returned.`,
      )
    }
    if (!(state instanceof Definition)) throw invalid('the state', 'what state() returned, or a name', state)
    if (!(state instanceof StateDefinition)) {
      throw new GradioStateError(
        'STATE_SHARED',
        `Expected the object that state() returned, or a name, got the shared state ${show(state.name)}. Call its own methods, which take the session first: await shared.get(req.gradioState).`,
      )
    }
    this.check(state)
    return state
  }

  /** @throws GradioStateError `STATE_FOREIGN` for a definition of another instance */
  check(definition: Definition): void {
    if (this.#definitions.get(definition.name) === definition) return
    throw new GradioStateError(
      'STATE_FOREIGN',
      `Expected a state of this gradioState() instance, got ${show(definition.name)} of another one.`,
    )
  }
}

/** An argument that names a value: what `state()` returned, or a plain name. */
export type NamedState = Pick<State<unknown>, 'name'> | string

/** A value of a session. A plain name has neither options nor an initial value. */
export type ResolvedState = Pick<Definition, 'name' | 'initial'> & {
  readonly config: ValueConfig | undefined
}

const VALUE_OPTIONS: Readonly<Record<keyof ValueOptions<unknown>, true>> = {
  timeToLive: true,
  deleteCallback: true,
  deleteReplaced: true,
}
export const STATE_OPTIONS: Readonly<Record<keyof StateOptions<unknown>, true>> = {
  value: true,
  ...VALUE_OPTIONS,
}

/** The options of a value that is set under a plain name. */
export function plainValueConfig(name: string, options: ValueOptions<never>): ValueConfig {
  const what = `the options of value ${show(name)}`
  known(what, options, VALUE_OPTIONS)
  return valueConfig(what, options)
}

/** The options of a plain name that was set without options. */
export const NO_OPTIONS: ValueConfig = {
  timeToLive: Number.POSITIVE_INFINITY,
  deleteCallback: undefined,
  deleteReplaced: true,
}

function valueConfig(what: string, options: ValueOptions<never>): ValueConfig {
  const {
    timeToLive = Number.POSITIVE_INFINITY,
    deleteCallback,
    deleteReplaced = deleteCallback === undefined,
  } = options
  if (typeof deleteReplaced !== 'boolean')
    throw invalid(`deleteReplaced in ${what}`, 'a boolean', deleteReplaced)
  return {
    timeToLive: duration(`timeToLive in ${what}`, timeToLive, { from: 1, to: Number.POSITIVE_INFINITY }),
    deleteCallback: optionalFunction(
      `deleteCallback in ${what}`,
      deleteCallback,
    ) as ValueConfig['deleteCallback'],
    deleteReplaced,
  }
}

function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || name === '')
    throw invalid('the name of a value', 'a string that is not empty', name)
}

function initialValue(name: string, value: unknown): (() => unknown) | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'function') return value as () => unknown
  if (typeof value !== 'object' || value === null) return () => value
  const found = findUncloneable(value, CLONEABLE)
  if (found !== undefined) throw uncloneable(name, found)
  // Cloned once, so that later changes to the object don't change the initial value of any session.
  const original = clone(name, value)
  return () => structuredClone(original)
}

/** Some objects can't be cloned although their prototype says so, such as a proxy. */
function clone<T>(name: string, value: T): T {
  try {
    return structuredClone(value)
  } catch (cause) {
    throw uncloneable(name, show(value), cause)
  }
}

function uncloneable(name: string, found: string, cause?: unknown): GradioStateError {
  return new GradioStateError(
    'VALUE_UNCLONEABLE',
    `Expected the initial value of state ${show(name)} to be plain data, since each session gets a clone, got ${found} in it. Pass a function that creates the value: { value: () => ... }.`,
    { cause },
  )
}

// Not Buffer: its clone is a bare Uint8Array.
const CLONEABLE = prototypesOf([...PLAIN, Error, Blob])

export function checkChange(change: unknown): void {
  if (typeof change !== 'function') throw invalid('the second argument of update()', 'a function', change)
}

/** Options are refused by `set()` for a state with a definition. */
export function refuseOptions(options: unknown): void {
  if (options !== undefined)
    throw invalid('the options of set()', 'given where the state was defined', options)
}
