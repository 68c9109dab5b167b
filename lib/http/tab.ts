import type { IncomingMessage } from 'node:http'

/** The request header that names the tab. Its value is chosen by the browser's client, and only valid in the request's session. */
const TAB_HEADER = 'gradio-state-tab'
/** At least 128 bits, in base64url. */
const TAB_ID = /^[\w-]{22,64}$/

/** The key of the scope of the tab that has sent the request; `undefined` if it names none, or not a well-formed one. */
export function tabKey({ headers }: IncomingMessage): string | undefined {
  const id = headers[TAB_HEADER]
  return typeof id === 'string' && TAB_ID.test(id) ? `tab:${id}` : undefined
}
