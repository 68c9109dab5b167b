import { randomBytes } from 'node:crypto'
import { pageSource } from './page-source.js'

/** A response of the inspector, for any framework. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Whether the page polled for data. The framework session isn't renewed then, so it expires as it would without the page. */
  readonly isPoll: boolean
}

/** For all responses, including those to unauthorized requests. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/** As if nothing were there. */
export function nothingHere(isPoll: boolean): Answer {
  return { ...text(404, 'Not Found'), isPoll }
}

export function text(status: number, body: string, headers = {}): Answer {
  const type = { 'Content-Type': 'text/plain; charset=utf-8' }
  return { status, headers: { ...HEADERS, ...type, ...headers }, body, isPoll: false }
}

export function json(body: object, isPoll: boolean): Answer {
  const headers = { ...HEADERS, 'Content-Type': 'application/json; charset=utf-8' }
  return { status: 200, headers, body: JSON.stringify(body), isPoll }
}

/** The page. Its script and style have a nonce, which is new in each response. */
export function page(): Answer {
  const nonce = randomBytes(16).toString('base64')
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
  const headers = {
    ...HEADERS,
    'Content-Security-Policy': policy,
    'Content-Type': 'text/html; charset=utf-8',
  }
  return { status: 200, headers, body: pageSource.replaceAll('{{nonce}}', nonce), isPoll: false }
}
