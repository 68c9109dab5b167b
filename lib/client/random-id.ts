/** 128 random bits, of digits and `-`. Not `randomUUID()`, which insecure origins lack. */
export function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
