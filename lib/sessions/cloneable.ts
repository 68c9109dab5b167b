import { types } from 'node:util'
import { show } from '../errors.js'

/**
 * Finds what a clone of `value` would lose, and describes it. Most of it would be lost silently: an instance of a class becomes a
 * plain object, and a property with a symbol as its key, such as a disposer, disappears.
 * @param kinds the prototypes that are cloned completely, in addition to those of typed arrays
 */
export function findUncloneable(value: unknown, kinds: ReadonlySet<unknown>): string | undefined {
  const seen = new Set<unknown>([value])
  // Iterating a set includes the items that are added in the meantime.
  for (const item of seen) {
    if (typeof item === 'function' || typeof item === 'symbol') return show(item)
    if (typeof item !== 'object' || item === null) continue
    if (types.isProxy(item)) return 'a Proxy'
    const prototype: object | null = Object.getPrototypeOf(item)
    if (prototype !== null && !kinds.has(prototype) && !isPlainView(prototype)) return show(item)
    if (ArrayBuffer.isView(item)) continue
    const hidden = hiddenIn(item)
    if (hidden !== undefined) return `${show(item)} with ${String(hidden)}`
    for (const part of partsOf(item)) if (!isPrimitive(part)) seen.add(part)
  }
  return undefined
}

function partsOf(item: object): Iterable<unknown> {
  if (item instanceof Map) return [...item.keys(), ...item.values()]
  return item instanceof Set ? item : Object.values(item)
}

/** A property that a clone loses. */
function hiddenIn(item: object): PropertyKey | undefined {
  if (item instanceof Map || item instanceof Set || item instanceof Date) return Reflect.ownKeys(item)[0]
  // Only for arrays, since Errors and Blobs have such properties of their own. Only symbols, since listing all keys is slow.
  if (Array.isArray(item)) return Object.getOwnPropertySymbols(item)[0]
  const prototype: unknown = Object.getPrototypeOf(item)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const keys = Reflect.ownKeys(item)
  if (keys.length === Object.keys(item).length) return undefined
  return keys.find(key => !Object.prototype.propertyIsEnumerable.call(item, key) || typeof key === 'symbol')
}

function isPrimitive(value: unknown): boolean {
  return value === null || !['object', 'function', 'symbol'].includes(typeof value)
}

/** Typed arrays, but not their subclasses, such as Buffer. */
function isPlainView(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === TYPED_ARRAY
}

const TYPED_ARRAY: unknown = Object.getPrototypeOf(Uint8Array.prototype)

/** What `structuredClone` and `v8.serialize` both clone completely. */
export const PLAIN = [Object, Array, Map, Set, Date, RegExp, ArrayBuffer, DataView, Boolean, Number, String]

export function prototypesOf(types: readonly { prototype: unknown }[]): ReadonlySet<unknown> {
  return new Set(types.map(type => type.prototype))
}
