import { fileURLToPath } from 'node:url'

/** The page: plain HTML, CSS and JavaScript, the same for both frameworks. */
export const publicDir = fileURLToPath(new URL('./public', import.meta.url))

export const pageHeaders = {
  'Content-Security-Policy': `default-src 'self'`,
  'X-Content-Type-Options': 'nosniff',
}
