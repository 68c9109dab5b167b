import { channel } from 'node:diagnostics_channel'
import createDebug from 'debug'
import { v4 as uuid } from 'uuid'
import type { ChannelMessages, HookOutcome, LifecycleMessage, SessionMessage } from './channel-messages.js'
import type { DeleteReason, ErrorContext, HookName, Reason } from './types.js'

const debug = createDebug('gradio-state:session')

/** A channel of `node:diagnostics_channel`, with the type of its messages. */
interface EventChannel<M> {
  readonly hasSubscribers: boolean
  publish(message: M): void
}

function channelOf<N extends keyof ChannelMessages>(name: N): EventChannel<ChannelMessages[N]> {
  return channel(name)
}

const sessionBegin = channelOf('gradio-state:session:begin')
const sessionLoad = channelOf('gradio-state:session:load')
const sessionExpire = channelOf('gradio-state:session:expire')
const sessionUnload = channelOf('gradio-state:session:unload')
const sessionEnd = channelOf('gradio-state:session:end')
const valueDelete = channelOf('gradio-state:value:delete')
const pageOpen = channelOf('gradio-state:page:open')
const pageClose = channelOf('gradio-state:page:close')
const fileSave = channelOf('gradio-state:file:save')
const fileDelete = channelOf('gradio-state:file:delete')
const hookRun = channelOf('gradio-state:hook:run')
const errorEmitted = channelOf('gradio-state:error')

/**
 * Publishes what happens in one instance, see {@link ChannelMessages}. Most processes have no subscribers: then no message is built.
 * An error that a subscriber throws doesn't reach the publisher: Node.js emits it as an uncaught exception in the next tick.
 */
export class Events {
  /** The id of the instance. */
  readonly instance = uuid()

  sessionBegan(session: EventSubject): void {
    debug('session %s begins', session.id)
    if (sessionBegin.hasSubscribers) sessionBegin.publish(this.#about(session))
  }

  sessionLoaded(session: EventSubject): void {
    if (sessionLoad.hasSubscribers) sessionLoad.publish(this.#about(session))
  }

  sessionExpired(session: string): void {
    debug('session %s: framework session expired', session)
    if (sessionExpire.hasSubscribers) sessionExpire.publish(this.#of(session))
  }

  sessionUnloaded(session: EventSubject, reason: Reason): void {
    debug('session %s unloads: %s', session.id, reason)
    if (sessionUnload.hasSubscribers) sessionUnload.publish({ ...this.#about(session), reason })
  }

  sessionEnded(session: EventSubject, reason: Reason): void {
    debug('session %s ends: %s', session.id, reason)
    if (sessionEnd.hasSubscribers) sessionEnd.publish({ ...this.#about(session), reason })
  }

  valueDeleted(session: string, name: string, reason: DeleteReason): void {
    if (valueDelete.hasSubscribers) valueDelete.publish({ ...this.#of(session), name, reason })
  }

  /** @param page `undefined` for a socket of the app */
  pageOpened(session: string, page: string | undefined): void {
    if (pageOpen.hasSubscribers) pageOpen.publish({ ...this.#of(session), page })
  }

  /** @param page `undefined` for a socket of the app */
  pageClosed(session: string, page: string | undefined): void {
    if (pageClose.hasSubscribers) pageClose.publish({ ...this.#of(session), page })
  }

  fileSaved(session: string, { name, size }: NamedFile): void {
    if (fileSave.hasSubscribers) fileSave.publish({ ...this.#of(session), name, size })
  }

  fileDeleted(session: string, { name, size }: NamedFile): void {
    if (fileDelete.hasSubscribers) fileDelete.publish({ ...this.#of(session), name, size })
  }

  /** Whether calls of hooks and callbacks have to be timed for {@link hookRan}. */
  get timesHooks(): boolean {
    return hookRun.hasSubscribers
  }

  /** @param duration in seconds */
  hookRan(call: HookCall, duration: number, outcome: HookOutcome): void {
    if (hookRun.hasSubscribers) hookRun.publish({ instance: this.instance, ...call, duration, outcome })
  }

  errorEmitted(error: unknown, context: ErrorContext): void {
    if (errorEmitted.hasSubscribers) errorEmitted.publish({ instance: this.instance, ...context, error })
  }

  #of(session: string): SessionMessage {
    return { instance: this.instance, session }
  }

  #about({ id, parent }: EventSubject): LifecycleMessage {
    const message = this.#of(id)
    return parent === undefined ? message : { ...message, parent: parent.id }
  }
}

/** A session or scope. */
interface EventSubject {
  readonly id: string
  readonly parent: { readonly id: string } | undefined
}

/** The part of a file's record that is published. */
interface NamedFile {
  readonly name: string
  readonly size: number
}

/** A call of a hook or callback. */
export interface HookCall {
  readonly source: HookName
  readonly session: string
  readonly name?: string
}
