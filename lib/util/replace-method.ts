export type Method = (this: unknown, ...given: unknown[]) => unknown
/** Replaces a method. Receives the original, `this` and the arguments. */
export type Replacement = (original: Method, self: unknown, given: unknown[]) => unknown

/**
 * Replaces a method of a foreign object, until the returned function is called. Does nothing if the object has no such method, or is
 * frozen.
 */
export function replaceMethod(object: object, name: string, instead: Replacement): () => void {
  const original: unknown = Reflect.get(object, name)
  if (typeof original !== 'function') return () => {}
  const own = Object.getOwnPropertyDescriptor(object, name)
  const value = function (this: unknown, ...given: unknown[]) {
    return instead(original as Method, this, given)
  }
  const property = { value, configurable: true, writable: true, enumerable: own?.enumerable ?? false }
  Reflect.defineProperty(object, name, property)
  return () => {
    // Another library may have replaced it since.
    if (Reflect.get(object, name) !== value) return
    if (own === undefined) Reflect.deleteProperty(object, name)
    else Object.defineProperty(object, name, own)
  }
}
