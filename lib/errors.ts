/**
 * The codes of {@link GradioStateError}. A code is stable across minor versions. Its meaning, cause and fix are documented under
 * its own heading in `docs/errors.md`.
 */
export type ErrorCode =
  | 'CACHE_DIR_UNSAFE'
  | 'CACHE_FULL'
  | 'CLOSED'
  | 'CLUSTER_MISMATCH'
  | 'CLUSTER_RECORD_DAMAGED'
  | 'CLUSTER_UNAVAILABLE'
  | 'CROSS_SITE'
  | 'DISK_FULL'
  | 'FILE_TOO_LARGE'
  | 'FILE_UNKNOWN'
  | 'HEADERS_SENT'
  | 'HOOK_TIMEOUT'
  | 'FRAMEWORK_SESSION_UNAVAILABLE'
  | 'MOUNTED_BEFORE_SESSION'
  | 'NOT_CALLED'
  | 'NOT_MOUNTED'
  | 'OPTION_INVALID'
  | 'PAGE_GONE'
  | 'PAGE_ID_INVALID'
  | 'PAGE_UNKNOWN'
  | 'REDIS_MISSING'
  | 'SESSION_ENDED'
  | 'SESSION_FULL'
  | 'STATE_DEFINED'
  | 'STATE_DUPLICATE'
  | 'STATE_FOREIGN'
  | 'STATE_SHARED'
  | 'STATE_UNKNOWN'
  | 'STORE_TIMEOUT'
  | 'TOO_MANY_PAGES'
  | 'TOO_MANY_SCOPES'
  | 'TOO_MANY_SESSIONS'
  | 'TOO_MANY_UPLOADS'
  | 'TOO_MANY_WAITING'
  | 'TWO_INSTANCES'
  | 'UPLOAD_INVALID'
  | 'VALUES_ON_TWO_NODES'
  | 'VALUE_TOO_LARGE'
  | 'VALUE_UNCLONEABLE'
  | 'VALUE_UNREADABLE'
  | 'VALUE_UNSERIALIZABLE'
  | 'VERSION_UNSUPPORTED'
  | 'WRONG_FRAMEWORK'

/** The HTTP status of codes that a browser may receive. The others are programming errors: 500. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  CACHE_FULL: 507,
  CLOSED: 503,
  CLUSTER_UNAVAILABLE: 503,
  CROSS_SITE: 403,
  DISK_FULL: 507,
  FILE_TOO_LARGE: 413,
  FILE_UNKNOWN: 404,
  FRAMEWORK_SESSION_UNAVAILABLE: 503,
  PAGE_GONE: 409,
  PAGE_ID_INVALID: 400,
  PAGE_UNKNOWN: 404,
  SESSION_ENDED: 410,
  SESSION_FULL: 413,
  TOO_MANY_PAGES: 429,
  TOO_MANY_SCOPES: 503,
  TOO_MANY_SESSIONS: 503,
  TOO_MANY_UPLOADS: 429,
  TOO_MANY_WAITING: 429,
  UPLOAD_INVALID: 400,
  VALUE_TOO_LARGE: 413,
}

/**
 * The response header that contains the code of an error. Express and Koa send the `headers` of an unhandled error, along with
 * their own body, so that `client.js` can read the code there too.
 */
export const ERROR_HEADER = 'Gradio-State-Error'

// Registered symbol, so that `instanceof` works between the ESM and the CommonJS build in one process.
const BRAND = Symbol.for('gradio-state.error')

/**
 * The class of all errors that this library throws, except the `TypeError` of `update`. The message says what was expected, what was
 * received and what to do; `code` is for programs.
 */
export class GradioStateError extends Error {
  readonly code: ErrorCode
  /** The HTTP status with which Express and Koa respond if the error isn't handled. */
  readonly status: number
  /** The same as {@link status}: NestJS and `http-errors` read this name. */
  readonly statusCode: number
  /** Headers that Express and Koa send if the error isn't handled. Only errors that a browser may receive have any. */
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    const status = STATUS[code]
    this.status = status ?? 500
    this.statusCode = this.status
    this.headers = status === undefined ? {} : { [ERROR_HEADER]: code }
  }

  /** Whether the message may be sent to the browser: that of errors with a status below 500. Koa and `http-errors` read it. */
  get expose(): boolean {
    return this.status < 500
  }

  get [BRAND](): true {
    return true
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    try {
      return typeof value === 'object' && value !== null && BRAND in value
    } catch {
      // A revoked Proxy, for example: apps can throw any value.
      return false
    }
  }
}
Object.defineProperty(GradioStateError.prototype, 'name', { value: 'GradioStateError' })

/** Formats a received value for a message: short, and with quotes around strings. */
export function show(value: unknown): string {
  try {
    return shown(value)
  } catch {
    return 'a value that can not be printed'
  }
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (typeof value === 'function') return `a function${value.name && ` (${value.name})`}`
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null)
    return `an object (${value.constructor?.name ?? 'no prototype'})`
  return String(value)
}

/** Creates the error for an invalid option or argument: which one, what was expected, what was received. */
export function invalid(what: string, expected: string, received: unknown): GradioStateError {
  return new GradioStateError('OPTION_INVALID', `Expected ${what} to be ${expected}, got ${show(received)}.`)
}

/** Creates the error for a version of another package that this library doesn't work with. */
export function unsupported(name: string, expected: string, received: string): GradioStateError {
  return new GradioStateError(
    'VERSION_UNSUPPORTED',
    `Expected ${name} of ${expected}, got one ${received}. Run: npm install ${name}@latest`,
  )
}

/** @param reason why the session has ended, if known */
export function sessionEnded(reason?: string): GradioStateError {
  return new GradioStateError(
    'SESSION_ENDED',
    `Expected a session that has not ended, got one that has${reason === undefined ? '' : ` (${reason})`}. The next request of its user begins a new one.`,
  )
}

export function closed(): GradioStateError {
  return new GradioStateError('CLOSED', 'Expected gradioState() to be running, but close() was called.')
}
