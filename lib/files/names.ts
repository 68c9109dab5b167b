/**
 * Turns any file name into one that is valid on every system and never changes the directory. Readable characters stay, so
 * `日本語.png` is unchanged.
 */
export function safeName(name: string): string {
  const base = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)
  // Encoded and decoded, because a lone surrogate can't be encoded: the file system would store a different character.
  const visible = Buffer.from(base).toString().replace(INVISIBLE, '').normalize('NFC').replace(FORBIDDEN, '_')
  // Windows ignores trailing dots and spaces, so two names could be the same file.
  const trimmed = shorten(visible.trim()).replace(/[.\s]+$/, '')
  if (trimmed === '') return 'file'
  return trimmed.startsWith('.') || RESERVED.test(trimmed) ? `_${trimmed}` : trimmed
}

/** Control characters, and those that change the direction of text, with which `gpj.exe` is displayed as `exe.jpg`. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
/** Characters that Windows forbids (learn.microsoft.com, "Naming Files, Paths, and Namespaces"). */
const FORBIDDEN = /[<>:"|?*/\\]/g
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i

/** File systems allow 255 bytes. The rest is for suffixes that tools append. */
const MAX_BYTES = 200

/** Shortens the name before its extension. */
function shorten(name: string): string {
  if (Buffer.byteLength(name) <= MAX_BYTES) return name
  const dot = name.lastIndexOf('.')
  const extension = dot > 0 && Buffer.byteLength(name.slice(dot)) <= 20 ? name.slice(dot) : ''
  let stem = ''
  let size = Buffer.byteLength(extension)
  for (const character of name.slice(0, name.length - extension.length)) {
    size += Buffer.byteLength(character)
    if (size > MAX_BYTES) break
    stem += character
  }
  return stem + extension
}
