import bytes from 'bytes'
import ms from 'ms'
import { GradioStateError, invalid, show } from './errors.js'
import { nearest } from './util/nearest.js'
import { warnOfMilliseconds } from './warnings.js'

// Parsers of options and arguments. Each returns a normalized value, or throws an error that says what was expected and received.

/**
 * A number of seconds, as in Gradio, or a string with a unit: `'90s'`, `'60m'`, `'1d'`. A string of digits alone, as
 * environment variables are, is the number. More than 30 days without a unit cause the warning `GRADIO_STATE_MILLISECONDS`; for
 * `unloadDelay`, `hookTimeout` and the `timeout` of `close()`, more than an hour.
 */
export type Duration = number | string

/** A number of bytes, or a string with a unit: `'200mb'`. A string of digits alone is the number. */
export type Size = number | string

/** In milliseconds. */
export interface DurationBounds {
  readonly from: number
  readonly to: number
  /** A longer one without a unit is probably a number of milliseconds, and causes a warning. @default 30 days */
  readonly usual?: number
}

/** Parses a duration into milliseconds. Throws if it isn't within the bounds. */
export function duration(what: string, value: unknown, bounds: DurationBounds): number {
  const parsed = typeof value === 'string' ? parseDuration(value) : seconds(value)
  if (!(parsed >= bounds.from && parsed <= bounds.to)) throw invalid(what, durationBetween(bounds), value)
  const hasUnit = typeof value === 'string' && !DIGITS.test(value)
  const { usual = MONTH } = bounds
  if (!hasUnit && parsed > usual && parsed !== Number.POSITIVE_INFINITY)
    warnOfMilliseconds(what, parsed / 1000)
  return parsed
}

/** Parses a size into bytes. */
export function size(what: string, value: unknown): number {
  const parsed = typeof value === 'string' ? parseSize(value) : value
  const isSize =
    typeof parsed === 'number' &&
    parsed >= 0 &&
    (parsed === Number.POSITIVE_INFINITY || Number.isFinite(parsed))
  if (!isSize) throw invalid(what, "a size: a number of bytes, a string such as '200mb', or Infinity", value)
  return parsed
}

/** Throws if `value` has a key that isn't one of `names`: a misspelt option must not be ignored. */
export function known(what: string, value: unknown, names: Readonly<Record<string, true>>): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(what, 'an object', value)
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(names, key)) continue
    const all = Object.keys(names)
    const meant = nearest(key, all)
    throw new GradioStateError(
      'OPTION_INVALID',
      `Expected ${what} to have only ${all.join(', ')}, got ${show(key)} too.${meant === undefined ? '' : ` Did you mean ${show(meant)}?`}`,
    )
  }
}

/** Throws unless `value` is a function or `undefined`. */
export function optionalFunction<T>(what: string, value: T): T {
  if (value !== undefined && typeof value !== 'function') throw invalid(what, 'a function', value)
  return value
}

/** Parses an integer from 1. */
export function count(what: string, value: unknown): number {
  const isWhole = Number.isSafeInteger(value) || value === Number.POSITIVE_INFINITY
  if (typeof value !== 'number' || !isWhole || value < 1)
    throw invalid(what, 'a whole number from 1, or Infinity', value)
  return value
}

/** Parses a boolean. */
export function flag(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalid(what, 'true or false', value)
  return value
}

/** Parses one of several choices. */
export function oneOf<T extends string>(what: string, value: unknown, choices: readonly T[]): T {
  const chosen = choices.find(choice => choice === value)
  if (chosen === undefined) throw invalid(what, `one of ${choices.map(show).join(', ')}`, value)
  return chosen
}

/** Throws unless `value` has all these methods. */
export function shaped<T extends object>(
  what: string,
  value: T,
  methods: Readonly<Record<MethodName<T>, true>>,
  kind: string,
): T {
  const names = Object.keys(methods)
  const fits =
    typeof value === 'object' &&
    value !== null &&
    names.every(name => typeof Reflect.get(value, name) === 'function')
  if (!fits) throw invalid(what, `${kind} (with ${names.join('(), ')}())`, value)
  return value
}

function seconds(value: unknown): number {
  return typeof value === 'number' ? value * 1000 : Number.NaN
}

const DIGITS = /^\d+$/
const MONTH = 30 * 86_400_000

function parseSize(text: string): number | null {
  if (DIGITS.test(text)) return Number(text)
  // `bytes` parses some invalid strings as a number of bytes, so the format is checked first.
  return /^\d+(\.\d+)?\s*(b|kb|mb|gb|tb)$/i.test(text) ? bytes.parse(text) : null
}

function parseDuration(text: string): number {
  if (DIGITS.test(text)) return Number(text) * 1000
  // `ms` reads a bare number as milliseconds, where this API counts in seconds: so a fraction must name its unit.
  if (text.length > 100 || !/[a-z]\s*$/i.test(text)) return Number.NaN
  return ms(text as ms.StringValue) ?? Number.NaN
}

function durationBetween({ from, to }: DurationBounds): string {
  const least = from === 0 ? 'from 0' : `of at least ${from / 1000} s`
  const most = to === Number.POSITIVE_INFINITY ? '' : ` and at most ${to / 1000} s`
  return `a duration ${least}${most}: a number of seconds or a string with a unit such as '90s' or '60m'`
}

type MethodName<T> = {
  [K in keyof T & string]: T[K] extends (...args: never[]) => unknown ? K : never
}[keyof T & string]
