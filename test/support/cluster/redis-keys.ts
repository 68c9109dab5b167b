import type { createClient } from 'redis'
import { keyOf, shardIndexOf } from '../../../lib/cluster/redis/session-links.ts'

/** The tag of the shard that contains the session of a token. */
export function tagOf(prefix: string, token: string): string {
  return `{${prefix}:${shardIndexOf(keyOf(token), 16)}}`
}

/** Tokens of the same shard as `token`. */
export function neighboursOf(token: string, count: number): string[] {
  const shard = tagOf('', token)
  const found: string[] = []
  for (let number = 0; found.length < count; number++) {
    const neighbour = `neighbour ${number}`
    if (tagOf('', neighbour) === shard) found.push(neighbour)
  }
  return found
}

/** All keys that match a pattern. */
export async function keysOf(client: ReturnType<typeof createClient>, pattern: string): Promise<string[]> {
  const all: string[] = []
  for await (const keys of client.scanIterator({ MATCH: pattern.replace(/[{}]/g, '\\$&') })) all.push(...keys)
  return all.sort()
}
