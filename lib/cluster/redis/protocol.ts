import type { Admission } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Reason } from '../../types.js'

/** What a node asks a shard for. */
export interface Order<N extends OrderName = OrderName> {
  /** Its name, and what `scripts.apply` has it take; asked for each time it is sent. */
  words(): OrderWords<N>
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
  enter: [] | EnterAnswer
  report:
    | [ended: 'ENDED', reason: Reason]
    | [due: number, isOnTwoNodes: number, pageExpected: number, claim?: SessionAnswer]
  end: [] | SessionAnswer
  expire: [due?: number]
  claim: [due: number, ...claims: ClaimAnswer[]]
  extend: [isKept: number]
  complete:
    | [isDone: 0]
    | [isDone: 1, due?: number, version?: string, loaded?: LoadedAnswer, next?: SessionAnswer]
  goodbye: [isTold: number]
  read: Ended | [] | [version: number, data: string]
  write: Ended | [isWritten: number, due?: number, replaced?: ValueAnswer]
  touch: Ended | [isThere: number, due: number]
  delete: Ended | [claim?: ValueAnswer]
}

export type EnterAnswer = [
  id: string,
  phase: Admission['phase'],
  createdAt: string,
  load: string,
  hadPage: number,
  isExpectedHere: number,
  elsewhere: number,
  version: string,
  due: number,
]

/** How a session was loaded again by the completion of its unload; empty: it was not. */
export type LoadedAnswer = [] | [load: string, hadPage: number, runHooks: number]

/** The orders that concern shared values. */
export type ValueOrder = 'read' | 'write' | 'touch' | 'delete'
export type Ended = ['ENDED']

/** A claim as a script hands it out. */
export type ClaimAnswer = SessionAnswer | ValueAnswer

/** … of an unload or an end. */
export type SessionAnswer = [
  phase: 'unload' | 'end',
  key: string,
  id: string,
  reason: Reason,
  fence: number,
  createdAt: string | number,
  load: string | number,
  isLoaded: number,
  hadPage: number,
  values: [name: string, version: string, data: string][],
  version: string,
]

/** … of a shared value's callback. */
export type ValueAnswer = [
  phase: 'value',
  key: string,
  id: string,
  reason: ValueClaim['reason'],
  fence: number,
  createdAt: string,
  name: string,
  version: string,
  data: string,
]

/** What is answered to a share that is told after an outage. */
export type Held =
  | ['gone', reason: Reason]
  | [
      'held',
      id: string,
      version: string,
      load: string,
      phase: 'l' | 'u' | 'n',
      hadPage: number,
      reason: Reason,
      isLoadedHere: number,
      due: number,
    ]

/** What one node tells another: what, the id and the version of the session, and more. */
export type Message = readonly [what: string, id?: string, version?: string, ...rest: (string | number)[]]

/** Never is -1 in the scripts. */
export function delay(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? -1 : Math.max(Math.ceil(ms), 0)
}

/** How often a node gives a heartbeat. */
export const BEAT = 5_000
/** After how long without a heartbeat a node is dead. */
export const DEAD = 15_000
/** How many orders, shares or sessions a script takes at once. */
export const PORTION = 128
