export type Method = (this: unknown, ...given: unknown[]) => unknown
/** What stands in for a method; it is given the original, `this` and the arguments. */
export type Replacement = (original: Method, self: unknown, given: unknown[]) => unknown

/**
 * Puts `instead` in the place of a method of an object that is not ours, until the given function is called. What has no
 * such method, or is frozen, stays as it is.
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
    // Somebody else may have replaced it since.
    if (Reflect.get(object, name) !== value) return
    if (own === undefined) Reflect.deleteProperty(object, name)
    else Object.defineProperty(object, name, own)
  }
}
