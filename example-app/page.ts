import { fileURLToPath } from 'node:url'

/** The page itself: plain HTML, CSS and JavaScript, the same on each framework. */
export const publicDir = fileURLToPath(new URL('./public', import.meta.url))

export const pageHeaders = {
  'Content-Security-Policy': `default-src 'self'`,
  'X-Content-Type-Options': 'nosniff',
}
