import type { ChannelMessages } from '../../channel-messages.js'
import type { Sessions } from '../../sessions/sessions.js'
import { Subscriptions } from '../../subscriptions.js'
import type { EventRow } from './data.js'
import { scopeName } from './session-rows.js'
import { messageOf, shorten } from './texts.js'

/** An event, and when it happened on the monotonic clock. */
interface RecentEvent {
  readonly at: number
  readonly session: string | null
  readonly text: string
}

/** The last events of an instance and, separately, the last errors, which frequent events would otherwise push out. */
export class Recent {
  readonly #sessions: Sessions
  readonly #subscriptions: Subscriptions
  readonly #events: RecentEvent[] = []
  readonly #errors: RecentEvent[] = []

  constructor(sessions: Sessions) {
    this.#sessions = sessions
    this.#subscriptions = new Subscriptions(sessions.hooks.events.instance)
    this.#note('gradio-state:session:begin', () => 'begins')
    this.#note('gradio-state:session:load', () => 'loads')
    this.#note('gradio-state:session:expire', () => 'framework session expired')
    this.#note('gradio-state:session:unload', ({ reason }) => `unloads: ${reason}`)
    this.#note('gradio-state:session:end', ({ reason }) => `ends: ${reason}`)
    this.#note('gradio-state:value:delete', ({ name, reason }) => `value ${name} deleted: ${reason}`)
    this.#note('gradio-state:file:save', ({ name }) => `file ${name} saved`)
    this.#note('gradio-state:file:delete', ({ name }) => `file ${name} deleted`)
    this.#subscriptions.on('gradio-state:error', ({ source, name, session, error }) => {
      const where = name === undefined ? source : `${source} of ${name}`
      this.#add(this.#errors, session, `${where}: ${messageOf(error, MAX_TEXT)}`)
    })
  }

  /** Newest first. */
  get events(): EventRow[] {
    return this.#rowsOf(this.#events)
  }

  /** Newest first. */
  get errors(): EventRow[] {
    return this.#rowsOf(this.#errors)
  }

  stop(): void {
    this.#subscriptions.stop()
  }

  #note<N extends SessionChannel>(channel: N, textOf: (message: ChannelMessages[N]) => string): void {
    this.#subscriptions.on(channel, message => {
      const session = this.#sessions.registry.findById(message.session)
      const scope = session?.parent === undefined ? '' : `${scopeName(session)}: `
      this.#add(this.#events, message.session, scope + textOf(message))
    })
  }

  #add(events: RecentEvent[], session: string | undefined, text: string): void {
    events.push({
      at: this.#sessions.deadlines.now,
      session: session ?? null,
      text: shorten(text, MAX_TEXT),
    })
    if (events.length > KEPT) events.shift()
  }

  #rowsOf(events: readonly RecentEvent[]): EventRow[] {
    const { now } = this.#sessions.deadlines
    return events.map(({ at, session, text }) => ({ session, text, ago: now - at })).reverse()
  }
}

/** The channels whose messages are about a session. */
type SessionChannel = Exclude<keyof ChannelMessages, 'gradio-state:error'>

/** How many events are kept. */
const KEPT = 50
/** In characters. */
const MAX_TEXT = 300
