import { GradioStateError, show } from '../errors.js'
import { known, type Size, shaped, size } from '../parse.js'
import type { Codec, SharedStateOptions } from '../types.js'
import { v8Codec } from './codec.js'
import { type AnyStateOptions, Definition, STATE_OPTIONS } from './value-definition.js'

/** The options of a shared state whose type is not known here. */
export interface AnySharedStateOptions extends AnyStateOptions {
  codec?: Codec<unknown>
  maxSize?: Size
}

/** The options of a shared value, and its values as text. */
export class SharedDefinition extends Definition {
  readonly initial: (() => unknown) | undefined
  readonly #codec: Codec<unknown>
  readonly #maxSize: number

  constructor(name: string, options: AnySharedStateOptions) {
    const what = `the options of shared state ${show(name)}`
    known(what, options, SHARED_STATE_OPTIONS)
    super(name, what, options)
    const { value, codec = v8Codec, maxSize = '1mb' } = options
    this.#codec = shaped(`codec in ${what}`, codec, { encode: true, decode: true }, 'a codec')
    this.#maxSize = size(`maxSize in ${what}`, maxSize)
    this.initial = this.#initial(value)
  }

  encode(value: unknown): string {
    const text = this.#textOf(value)
    const length = Buffer.byteLength(text)
    if (length <= this.#maxSize) return text
    throw new GradioStateError(
      'VALUE_TOO_LARGE',
      `Expected a value of shared state ${show(this.name)} to take at most ${this.#maxSize} bytes as text (maxSize), got ${length}.`,
    )
  }

  decode(text: string): unknown {
    try {
      return this.#codec.decode(text)
    } catch (cause) {
      throw new GradioStateError(
        'VALUE_UNREADABLE',
        `Expected the text that shared state ${show(this.name)} holds to be what its codec reads, got an error: ${told(cause)}. Another version of the app may have written it.`,
        { cause },
      )
    }
  }

  #textOf(value: unknown): string {
    let text: unknown
    try {
      text = this.#codec.encode(value)
    } catch (cause) {
      throw this.#unserializable(told(cause), cause)
    }
    if (typeof text === 'string') return text
    throw this.#unserializable(`its codec gave ${show(text)} instead of a string`)
  }

  #initial(value: unknown): (() => unknown) | undefined {
    if (value === undefined) return undefined
    if (typeof value === 'function') return value as () => unknown
    // At once, so that later changes to the given object change no session's initial value.
    const text = this.encode(value)
    return () => this.decode(text)
  }

  #unserializable(reason: string, cause?: unknown): GradioStateError {
    return new GradioStateError(
      'VALUE_UNSERIALIZABLE',
      `Expected a value of shared state ${show(this.name)} that can be written as text, got one that can't: ${reason}. Share plain data, keep other things in a state(), or give sharedState() a codec.`,
      { cause },
    )
  }
}

const SHARED_STATE_OPTIONS: Readonly<Record<keyof SharedStateOptions<unknown>, true>> = {
  ...STATE_OPTIONS,
  codec: true,
  maxSize: true,
}

function told(cause: unknown): string {
  return cause instanceof Error ? cause.message : show(cause)
}
