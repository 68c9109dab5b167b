import type { Departure, EndReason, Life } from '../../sessions/engine.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'

/** What a node asks a shard for. */
export interface Order<N extends OrderName = OrderName> {
  /** Its name, and what `scripts.apply` has it take. */
  readonly words: OrderWords<N>
  /** Given what the script answers. */
  answered(answer: Answers[N]): void
  /** Redis is away, and the order was dropped. One without it waits until Redis is back, */
  failed?(error: unknown): void
  /** and is told here that it will take long. */
  delayed?(): void
}

export type OrderName = keyof Answers
export type OrderWords<N extends OrderName = OrderName> = readonly [name: N, ...unknown[]]

/** What is answered to each order: numbers, texts (also of what Redis keeps as numbers), and lists of them. */
export interface Answers {
  open:
    | []
    | [life: string, phase: Life['phase'], createdAt: string, load: string, elsewhere: number, due: number]
  leave: [due?: number, isOnTwoNodes?: number]
  sync: []
  holds: [isHere: number]
  end: [] | EndAnswer
  expire: [due?: number]
  claim: [due: number, ...claims: ClaimAnswer[]]
  renew: [isKept: number]
  settle: [isDone: number, due?: number]
  goodbye: [isTold: number]
  read: Ended | [] | [version: number, data: string]
  write: Ended | [isWritten: number, due?: number, replaced?: ValueAnswer]
  touch: Ended | [isThere: number, due: number]
  delete: Ended | [claim?: ValueAnswer]
}

/** The orders that concern shared values. */
export type ValueOrder = 'read' | 'write' | 'touch' | 'delete'
export type Ended = ['ENDED']

/** A claim as a script hands it out. */
export type ClaimAnswer = EndAnswer | ValueAnswer

/** … of an unload or an end. */
export type EndAnswer = [
  phase: 'unload' | 'end',
  key: string,
  life: string,
  reason: EndReason,
  fence: number,
  createdAt: string | number,
  load: string | number,
  isLoaded: number,
  hadPage: number,
  values: [name: string, version: string, data: string][],
]

/** … of a shared value's callback. */
export type ValueAnswer = [
  phase: 'value',
  key: string,
  life: string,
  reason: ValueClaim['reason'],
  fence: number,
  createdAt: string,
  name: string,
  version: string,
  data: string,
]

/** What is answered to the announcement of a part. */
export type Announced =
  | ['gone', reason: EndReason]
  | ['held', life: string, load: string, due: number, returns: number]

/** Never is -1 in the scripts. */
export function delay(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? -1 : Math.ceil(ms)
}

/** How those leave who hold a session on a node that is gone. */
export function delays({ unloadIn, endIn }: Departure): [string, string] {
  return [String(unloadIn), String(delay(endIn))]
}

/** After how long without a sign of life a node is dead. */
export const DEAD = 15_000
/** How many orders, parts or sessions a script takes at once. */
export const PORTION = 128
