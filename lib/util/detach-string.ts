/**
 * Copies a string, so that it keeps no other string in memory. V8 keeps a substring as a view of the original (a page id would keep
 * its whole URL, a token the whole cookie header), and a concatenation as its parts.
 */
export function detachString(text: string): string {
  const copy = Buffer.from(text, 'latin1').toString('latin1')
  return copy === text ? copy : text
}
