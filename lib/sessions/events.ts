import type { EndReason } from './engine.js'
import type { SessionView } from './session-view.js'

/** What a hook is told. */
export interface HookEvent {
  readonly session: SessionView
  /** The same for the same event, should it ever be repeated after a crash of a node. */
  readonly key: string
  /** Aborts when the time limit (`hookTimeout`) is over. */
  readonly signal: AbortSignal
}

/** What an `unload` or `ended` hook is told. */
export interface LeaveEvent extends HookEvent {
  readonly reason: EndReason
}

/** A function of the app that this library calls. */
export type HookName = 'load' | 'unload' | 'ended' | 'deleteCallback' | 'info'

/** Where an error came from. */
export interface ErrorContext {
  /** What failed: a hook, a callback, the `info` option, the engine, the care of the files, or the host's session store. */
  readonly source: HookName | 'engine' | 'files' | 'store'
  /** The id of the session it was called for. */
  readonly session?: string
  /** The name of the value, of a `deleteCallback`. */
  readonly name?: string
}

export type ErrorListener = (error: unknown, context: ErrorContext) => void
