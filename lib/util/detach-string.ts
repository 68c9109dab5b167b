/**
 * A copy of a text that holds nothing but itself. V8 keeps one that was cut out of another as a view of that (a page's id would
 * hold its whole URL, a token the whole cookie header), and one that was put together as its parts.
 */
export function detachString(text: string): string {
  const copy = Buffer.from(text, 'latin1').toString('latin1')
  return copy === text ? copy : text
}
