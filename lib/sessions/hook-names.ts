import type { ErrorContext } from '../types.js'

const SOURCES: Partial<Record<ErrorContext['source'], string>> = {
  deleteCallback: 'deleteCallback',
  info: 'info',
  cluster: 'the cluster',
  files: 'the maintenance of the files',
  store: 'the session store',
}

/** The hook or callback, or the part of the library, and the session. */
export function describe(context: ErrorContext): string {
  const { session } = context
  return nameOf(context) + (session === undefined ? '' : ` for session ${session}`)
}

/** The hook, or the callback with the name of its value. */
export function nameOf({ source, name }: ErrorContext): string {
  const what = SOURCES[source] ?? `the ${source} hook`
  return what + (name === undefined ? '' : ` of ${JSON.stringify(name)}`)
}
