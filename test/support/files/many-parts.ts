import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import type { Visitor } from '../../../lib/testing/index.ts'
import { filesBelow } from './disk.ts'

const BOUNDARY = 'boundary-of-a-flood'

/** A part of a form: with a file name it is a file. */
export interface Part {
  readonly field: string
  readonly fileName?: string
  readonly text?: string
}

/** Sends any number of parts in one request; a FormData with as many would take seconds. */
export function sendParts(user: Visitor, path: string, parts: readonly Part[]): Promise<Response> {
  const body = parts.map(({ field, fileName, text = '' }) => {
    const name = fileName === undefined ? '' : `; filename="${fileName}"`
    return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${field}"${name}\r\n\r\n${text}\r\n`
  })
  return user.fetch(path, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: `${body.join('')}--${BOUNDARY}--\r\n`,
  })
}

export function emptyFiles(count: number): Part[] {
  return Array.from({ length: count }, (_, i) => ({ field: 'files', fileName: `${i}.txt` }))
}

export function texts(count: number, length: number): Part[] {
  const text = 'x'.repeat(length)
  return Array.from({ length: count }, (_, i) => ({ field: `text-${i}`, text }))
}

/** The characters of the text fields that a request has in memory. */
export function heldBy(req: IncomingMessage): number {
  const { body } = req as IncomingMessage & { body?: Record<string, string> }
  return Object.entries(body ?? {}).reduce((sum, [name, text]) => sum + name.length + text.length, 0)
}

/**
 * Repeatedly counts the files below a directory. A file that is moved during the listing is counted twice.
 * @param limit How many are too many.
 */
export function watchFiles(directory: string, limit = 1200): { assertFew(): void } {
  let most = 0
  let isOver = false
  const look = () => {
    most = Math.max(most, filesBelow(directory).length)
    if (!isOver) setTimeout(look, 50).unref()
  }
  look()
  return {
    assertFew() {
      isOver = true
      assert.ok(most < limit, `${most} files at once`)
    },
  }
}
