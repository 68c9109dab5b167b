import { inspect } from 'node:util'

/** Converts any value of the app to text: shortened, and on one line unless it is a string. Never throws. */
export function textOf(value: unknown, maxLength: number): string {
  if (value === undefined) return ''
  return shorten(typeof value === 'string' ? value : inspected(value), maxLength)
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown, maxLength: number): string {
  try {
    return shorten(error instanceof Error ? `${error.name}: ${error.message}` : inspected(error), maxLength)
  } catch {
    // Getters of an error belong to the app, and may throw.
    return UNPRINTABLE
  }
}

export function shorten(text: string, maxLength: number): string {
  return text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text
}

function inspected(value: unknown): string {
  try {
    return inspect(value, {
      depth: 3,
      breakLength: Number.POSITIVE_INFINITY,
      maxArrayLength: 20,
      maxStringLength: 500,
    })
  } catch {
    // `util.inspect.custom` is a method of the app.
    return UNPRINTABLE
  }
}

const UNPRINTABLE = 'a value that cannot be printed'
