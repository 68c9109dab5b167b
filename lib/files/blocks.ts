/** Bytes of a block. */
export const BLOCK = 256 * 1024

/** How many are kept for the next. */
const KEPT = 8

/** Bytes that are copied once more instead: where many are saved at once, to make a block takes the event loop some 20 µs. */
const COPIED = 16 * 1024

const free: Uint8Array[] = []

/**
 * Memory for a small file, that the event loop and the disk's thread share, or that `postMessage` copies. The bytes are
 * copied there: to hand over their own memory, as `postMessage` can, would take it from whoever else has seen them, such as
 * an error tracker that records requests.
 */
export function takeBlock(size: number): Uint8Array {
  if (size <= COPIED) return new Uint8Array(size)
  return free.pop() ?? new Uint8Array(new SharedArrayBuffer(BLOCK))
}

/** Nobody may use it any more. */
export function giveBlock(block: Uint8Array): void {
  if (block.length === BLOCK && free.length < KEPT) free.push(block)
}
