import type { Admission } from '../../sessions/coordinator.js'
import type { ValueClaim } from '../../sessions/shared-value-store.js'
import type { Reason } from '../../types.js'

/** A command that a node sends to a shard. */
export interface Command<N extends CommandName = CommandName> {
  /** Its name and its arguments for `scripts.apply`. Called each time it is sent. */
  args(): CommandArgs<N>
  /** Receives the script's answer. */
  answered(answer: Answers[N]): void
  /** The command was dropped because Redis is unavailable. A command without this callback waits until Redis is back. */
  failed?(error: unknown): void
  /** The command waits until Redis is back. */
  delayed?(): void
}

export type CommandName = keyof Answers
export type CommandArgs<N extends CommandName = CommandName> = readonly [name: N, ...unknown[]]

/** The answer to each command: numbers, strings (also for what Redis stores as numbers), and lists of them. */
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
  goodbye: [isDelivered: number]
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

/** The load that the completion of an unload has caused; empty if there was none. */
export type LoadedAnswer = [] | [load: string, hadPage: number, runHooks: number]

/** The commands for shared values. */
export type ValueCommand = 'read' | 'write' | 'touch' | 'delete'
export type Ended = ['ENDED']

/** A claim in the answer of a script. */
export type ClaimAnswer = SessionAnswer | ValueAnswer

/** The claim of an unload or an end. */
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
  scope: string,
]

/** The claim of a shared value's callback. */
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
  scope: string,
]

/** The answer to a share that was sent in a resync. */
export type ResyncAnswer =
  | ['ended', reason: Reason]
  | [
      'kept',
      id: string,
      version: string,
      load: string,
      phase: 'l' | 'u' | 'n',
      hadPage: number,
      reason: Reason,
      isLoadedHere: number,
      due: number,
    ]

/** A message from one node to another: its kind, the id and the version of the session, and arguments. */
export type Message = readonly [what: string, id?: string, version?: string, ...rest: (string | number)[]]

/** @returns `undefined` for a text that no node has written */
export function parseMessage(text: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(text)
    return Array.isArray(message) && typeof message[0] === 'string'
      ? (message as unknown as Message)
      : undefined
  } catch {
    return undefined
  }
}

/** Converts a delay for the scripts, where -1 stands for never. */
export function delay(ms: number): number {
  return ms === Number.POSITIVE_INFINITY ? -1 : Math.max(Math.ceil(ms), 0)
}

/** How often a node sends a heartbeat, in milliseconds. */
export const BEAT_INTERVAL = 5_000
/** A node without a heartbeat for this time counts as dead, in milliseconds. */
export const DEAD_AFTER = 15_000
/** How many commands, shares or sessions one script call handles. */
export const BATCH_SIZE = 128
