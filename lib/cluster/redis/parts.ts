import { v4 as uuid } from 'uuid'
import { Part } from './part.js'

/** What this node has of all its sessions, by their tokens and by what the nodes call their lives. */
export class Parts {
  readonly #byToken = new Map<string, Part>()
  readonly #byShared = new Map<string, Part>()

  get(token: string): Part | undefined {
    return this.#byToken.get(token)
  }

  /** @param life what the nodes call it */
  byShared(life: string): Part | undefined {
    return this.#byShared.get(life)
  }

  /** @param life what this process calls it */
  find(token: string, life: string): Part | undefined {
    const current = this.#byToken.get(token)
    if (current?.life === life) return current
    // Another life has begun already, and word of the end of this one is on its way.
    const former = this.#byShared.get(life)
    return former?.life === life ? former : undefined
  }

  /** Those of the newest lives that have begun. */
  begun(): Part[] {
    return [...this.#byToken.values()].filter(({ isBegun }) => isBegun)
  }

  /** A new part, of a life that has not begun. */
  add(token: string, createdAt: number): Part {
    const part = new Part(token, uuid(), createdAt)
    this.#byToken.set(token, part)
    return part
  }

  /** The life begins here, whatever Redis knows. */
  begin(part: Part): void {
    part.isBegun = true
    this.#byShared.set(part.shared, part)
  }

  /** What this node has, or is to have, of a life that Redis knows. */
  admit(token: string, life: string, createdAt: number): Part {
    const part = this.#byToken.get(token)
    if (part?.shared === life) {
      part.isBegun = true
      return part
    }
    // Begun without waiting for Redis, it stands here for what the others know by another id.
    if (part?.isBegun && part.epoch === '') return part
    const found = part === undefined || part.isBegun ? this.add(token, createdAt) : part
    found.isBegun = true
    found.life = life
    return found
  }

  /** The Redis of that epoch calls the life by that name. */
  confirm(part: Part, epoch: string, life: string): void {
    part.epoch = epoch
    this.rename(part, life)
  }

  rename(part: Part, life: string): void {
    if (this.#byShared.get(part.shared) === part) this.#byShared.delete(part.shared)
    part.shared = life
    this.#byShared.set(life, part)
  }

  forget(part: Part): void {
    if (this.#byToken.get(part.token) === part) this.#byToken.delete(part.token)
    this.#byShared.delete(part.shared)
  }
}
