import { lookup } from 'mime-types'

/** The type of a file by its name: the type that a browser sends with an upload can't be trusted. */
export function mimeTypeOf(name: string): string {
  return lookup(name) || 'application/octet-stream'
}
