/** Bytes of a block. */
export const BLOCK = 256 * 1024

/** How many are kept for the next. */
const KEPT = 8

const free: Uint8Array[] = []

/**
 * Memory that the event loop and the disk's thread share, for a small file. Its bytes are copied there: to hand over their
 * own memory, as `postMessage` can, would take it from whoever else has seen them, such as an error tracker that records
 * requests.
 */
export function takeBlock(): Uint8Array {
  return free.pop() ?? new Uint8Array(new SharedArrayBuffer(BLOCK))
}

/** Nobody may use it any more. */
export function giveBlock(block: Uint8Array): void {
  if (free.length < KEPT) free.push(block)
}
