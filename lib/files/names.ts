/**
 * Makes a name from outside fit to be the last part of a path on any system: it never decides where a file goes. What
 * it was called stays readable, `日本語.png` as it is.
 */
export function safeName(name: string): string {
  const base = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
  // Through bytes and back, since a lone surrogate has no bytes of its own and would be written as another character.
  const visible = Buffer.from(base).toString().replace(INVISIBLE, '').normalize('NFC').replace(FORBIDDEN, '_')
  // Windows drops dots and spaces at the end, so that two names would be one file.
  const trimmed = shorten(visible.trim()).replace(/[.\s]+$/, '')
  if (trimmed === '') return 'file'
  return trimmed.startsWith('.') || RESERVED.test(trimmed) ? `_${trimmed}` : trimmed
}

/** Control characters, and those that change the direction of text so that `exe.gpj` is read as another name. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
/** What Windows doesn't allow (learn.microsoft.com, "Naming Files, Paths, and Namespaces"). */
const FORBIDDEN = /[<>:"|?*/\\]/g
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i

/** File systems allow 255 bytes; this leaves room for what tools append. */
const MOST_BYTES = 200

/** Shortens the stem, so that the file keeps its ending. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= MOST_BYTES) return name
  const dot = name.lastIndexOf('.')
  const ending = dot > 0 && Buffer.byteLength(name.slice(dot)) <= 20 ? name.slice(dot) : ''
  let stem = ''
  let size = Buffer.byteLength(ending)
  for (const character of name.slice(0, name.length - ending.length)) {
    size += Buffer.byteLength(character)
    if (size > MOST_BYTES) break
    stem += character
  }
  return stem + ending
}
