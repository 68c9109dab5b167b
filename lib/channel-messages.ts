import type { DeleteReason, ErrorContext, HookName, Reason } from './types.js'

/** The fields of a message about a session. */
export interface SessionMessage {
  /** The `id` of the instance. */
  readonly instance: string
  /** The `id` of the session. */
  readonly session: string
}

/** The fields of a message about a session or scope as a whole. */
export interface LifecycleMessage extends SessionMessage {
  /** Of a scope: the `id` of the session that it belongs to. */
  readonly parent?: string
}

/**
 * The messages of the library's channels of `node:diagnostics_channel`, by the name of the channel; their fields are in docs/operations.md.
 * A message is built only while its channel has subscribers. It contains no token and no value. In a cluster, each node publishes what
 * happens in its own process.
 */
export interface ChannelMessages {
  /** A session has begun. */
  'gradio-state:session:begin': LifecycleMessage
  /** A session was loaded; its `load` hooks run next. In a cluster, one node publishes this. */
  'gradio-state:session:load': LifecycleMessage
  /** The framework session has expired in its store. */
  'gradio-state:session:expire': SessionMessage
  /** A session is unloaded, once per load; its `unload` hooks run next. In a cluster, one node publishes this. */
  'gradio-state:session:unload': LifecycleMessage & { readonly reason: Reason }
  /** A session has ended and can't be used any more. If it was loaded, it is unloaded next; then its values and files are deleted. */
  'gradio-state:session:end': LifecycleMessage & { readonly reason: Reason }
  /** A value was deleted; its `deleteCallback` runs next. In a cluster, one node publishes this of a shared value. */
  'gradio-state:value:delete': SessionMessage & { readonly name: string; readonly reason: DeleteReason }
  /** A page has connected; without `page`, it is a socket that was passed to `track()`. */
  'gradio-state:page:open': SessionMessage & { readonly page: string | undefined }
  /** A page has left, or its connection was lost. */
  'gradio-state:page:close': SessionMessage & { readonly page: string | undefined }
  /** A file was saved or uploaded. `size` is in bytes. */
  'gradio-state:file:save': SessionMessage & { readonly name: string; readonly size: number }
  /** A saved file was deleted or moved out of the cache, or was found to be removed by the app. */
  'gradio-state:file:delete': SessionMessage & { readonly name: string; readonly size: number }
  /** A hook or callback has returned or settled, or has exceeded its time limit. `duration` is in seconds. */
  'gradio-state:hook:run': SessionMessage & {
    readonly source: HookName
    /** The name of the value, of a `deleteCallback`. */
    readonly name?: string
    readonly duration: number
    readonly outcome: HookOutcome
  }
  /** An error that `gradio.on('error', …)` receives too, such as the first one of an outage of the session store or of Redis. */
  'gradio-state:error': ErrorContext & { readonly instance: string; readonly error: unknown }
}

/** How a hook or callback has ended: `timeout` if it has not settled within `hookTimeout`. */
export type HookOutcome = 'ok' | 'error' | 'timeout'
