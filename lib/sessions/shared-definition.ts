import { GradioStateError, show } from '../errors.js'
import { known, type Size, shaped, size } from '../parse.js'
import type { Codec, SharedStateOptions } from '../types.js'
import { v8Codec } from './codec.js'
import { type AnyStateOptions, Definition, STATE_OPTIONS } from './value-definition.js'

/** The options of a shared state of unknown type. */
export interface AnySharedStateOptions extends AnyStateOptions {
  codec?: Codec<unknown>
  maxSize?: Size
}

/** A definition of a shared state: its options, and the conversion of its values to and from text. */
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

  override agreedOptions(): Record<string, string> {
    const { timeToLive, deleteCallback, deleteReplaced } = this.config
    return {
      timeToLive: `${timeToLive / 1000} s`,
      deleteCallback: deleteCallback === undefined ? 'none' : 'a function',
      deleteReplaced: String(deleteReplaced),
      codec: this.#codec === v8Codec ? 'default' : 'a codec of its own',
      maxSize: `${this.#maxSize} bytes`,
    }
  }

  encode(value: unknown): string {
    const text = this.#textOf(value)
    const length = Buffer.byteLength(text)
    if (length <= this.#maxSize) return text
    throw new GradioStateError(
      'VALUE_TOO_LARGE',
      `Expected a value of shared state ${show(this.name)} to be encoded in at most ${this.#maxSize} bytes (maxSize), got ${length} bytes. Store less, or raise maxSize.`,
    )
  }

  decode(text: string): unknown {
    try {
      return this.#codec.decode(text)
    } catch (cause) {
      throw new GradioStateError(
        'VALUE_UNREADABLE',
        `Expected the stored text of shared state ${show(this.name)} to be readable by its codec, got an error: ${messageOf(cause)}. Another version of the app may have written it.`,
        { cause },
      )
    }
  }

  #textOf(value: unknown): string {
    let text: unknown
    try {
      text = this.#codec.encode(value)
    } catch (cause) {
      throw this.#unserializable(messageOf(cause), cause)
    }
    if (typeof text === 'string') return text
    throw this.#unserializable(`its codec returned ${show(text)} instead of a string`)
  }

  #initial(value: unknown): (() => unknown) | undefined {
    if (value === undefined) return undefined
    if (typeof value === 'function') return value as () => unknown
    // Encoded once, so that later changes to the object don't change the initial value of any session.
    const text = this.encode(value)
    return () => this.decode(text)
  }

  #unserializable(reason: string, cause?: unknown): GradioStateError {
    return new GradioStateError(
      'VALUE_UNSERIALIZABLE',
      `Expected a value of shared state ${show(this.name)} that can be encoded as text, got one that can't: ${reason}. Share plain data, keep other values in a state(), or pass a codec to sharedState().`,
      { cause },
    )
  }
}

const SHARED_STATE_OPTIONS: Readonly<Record<keyof SharedStateOptions<unknown>, true>> = {
  ...STATE_OPTIONS,
  codec: true,
  maxSize: true,
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : show(cause)
}
