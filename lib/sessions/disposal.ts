/** Whether a value has a disposer: it is called when the value is deleted and has no callback. */
export function isDisposable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  try {
    return Symbol.asyncDispose in value || Symbol.dispose in value
  } catch {
    // A revoked Proxy, for example. Disposing of it throws, and that error is reported.
    return true
  }
}

export function dispose(value: Partial<AsyncDisposable & Disposable>): unknown {
  return Symbol.asyncDispose in value ? value[Symbol.asyncDispose]?.() : value[Symbol.dispose]?.()
}
