import assert from 'node:assert/strict'
import type {
  DeleteEvent,
  GradioState,
  HookEvent,
  LeaveEvent,
  RequestState,
  SessionView,
  State,
} from '../../lib/index.ts'
import type { FakeClock } from '../../lib/testing/index.ts'
import type { EventLog } from './event-log.ts'
import { LATE, type Modes, NAMES, type Name, SLOW, type Source, type Use, VALUE_SETTINGS } from './session.ts'
import type { Watch } from './watch.ts'

/** A value in a session, identified by its label. */
export interface Thing {
  readonly label: string
}

interface Parts {
  readonly gradio: GradioState
  readonly clock: FakeClock
  readonly log: EventLog
  readonly watch: Watch
}

/** The reasons of deletions that don't end the session. */
const SESSION_CONTINUES: ReadonlySet<string> = new Set(['timeToLive', 'deleted', 'replaced'])

/** The app that uses the library: its values, hooks and callbacks. */
export class App {
  readonly #parts: Parts
  readonly #modes: Modes
  readonly #history: State<Thing>
  readonly #model: State<Thing | undefined>
  readonly #views = new Map<string, SessionView>()
  readonly #setsByHooks = new Map<string, number>()
  #initials = 0

  /** @param modes what the hooks and callbacks do; may change during the run */
  constructor(parts: Parts, modes: Modes) {
    this.#parts = parts
    this.#modes = modes
    const { gradio, log } = parts
    this.#history = gradio.state<Thing>('history', {
      ...this.#callback('history'),
      value: () => ({ label: `initial${++this.#initials}` }),
    })
    this.#model = gradio.state<Thing>('model', this.#callback('model'))
    for (const source of ['load', 'unload', 'ended'] as const) {
      gradio[source](event => this.#hook(source, event))
      gradio[source](event => log.say(`${event.session.info} ${source} too`))
    }
  }

  /** Does something with a value of a session. */
  use(state: RequestState, use: Use, name: Name, label: string): unknown {
    const thing = this.#thing(name, label)
    // The compiler doesn't know which key belongs to which name.
    const key = this.#key(name) as 'cache'
    switch (use) {
      case 'get':
        return state.get(key) ?? 'none'
      case 'set':
        return done(name === 'cache' ? state.set(key, thing, this.#callback(name)) : state.set(key, thing))
      case 'bare':
        return done(state.set(key, thing))
      case 'same':
        return state.has(key) ? done(state.set(key, state.get(key))) : 'none'
      case 'update':
        return done(state.update(key, () => thing))
      case 'touch':
        return state.touch(key)
      case 'has':
        return state.has(key)
      case 'delete':
        return state.delete(key)
      case 'id':
        return state.id
      case 'establish':
        return state.establish()
      case 'end':
        return state.end()
    }
  }

  idOf(sessionName: string): string | undefined {
    return this.#views.get(sessionName)?.id
  }

  /** The values of a session, as a hook would see them. */
  show(sessionName: string): string {
    const view = this.#views.get(sessionName)
    return view === undefined ? '[]' : this.#show(view)
  }

  #show(view: SessionView): string {
    const shown = NAMES.map(name => {
      const thing = view.get(this.#key(name) as 'cache') as Thing | undefined
      return thing && `${name}=${thing.label}`
    })
    return `[${shown.filter(text => text !== undefined).sort()}]`
  }

  #key(name: Name): State<Thing> | State<Thing | undefined> | string {
    return name === 'history' ? this.#history : name === 'model' ? this.#model : name
  }

  #thing(name: Name, label: string): Thing {
    if (name !== 'handle') return { label }
    const dispose = () => {
      this.#parts.watch.released(`handle=${label}`)
      this.#parts.log.say(`disposes handle=${label}`)
    }
    return Object.assign({ label }, { [Symbol.dispose]: dispose })
  }

  #hook(source: Exclude<Source, 'deleteCallback'>, event: HookEvent | LeaveEvent): unknown {
    const { session } = event
    const { log, watch } = this.#parts
    const sessionName = session.info as string
    this.#views.set(sessionName, session)
    log.nameSession(session.id, sessionName)
    const reason = 'reason' in event ? event.reason : ''
    log.say(`${sessionName} ${source} ${reason} ${this.#show(session)}`)
    return watch.during(sessionName, source, event, () => this.#behave(source, session))
  }

  /** The options of a value, with its delete callback. */
  #callback(name: Name) {
    const { timeToLive, deleteReplaced } = VALUE_SETTINGS[name]
    return {
      ...(timeToLive !== Number.POSITIVE_INFINITY && { timeToLive: `${timeToLive}ms` }),
      deleteReplaced,
      deleteCallback: (value: unknown, event: DeleteEvent) => {
        const { session, reason } = event
        const { log, watch } = this.#parts
        const sessionName = session.info as string
        const { label } = value as Thing
        assert.notEqual(
          session.get(this.#key(name) as 'cache'),
          value,
          'a value is removed before its callback is called',
        )
        log.say(`${sessionName} deletes ${name}=${label} ${reason}`)
        watch.released(`${sessionName} ${name}=${label}`)
        const call = SESSION_CONTINUES.has(reason) ? 'deleteCallback' : 'endCallback'
        return watch.during(sessionName, call, event, () =>
          this.#behave('deleteCallback', session, reason !== 'replaced', name),
        )
      },
    }
  }

  #behave(source: Source, { id, info }: SessionView, mayReenter = true, name: Name = 'model'): unknown {
    const { gradio, clock } = this.#parts
    const session = gradio.session(id)
    const mode = this.#modes[source]
    switch (mode) {
      case 'returns':
        return undefined
      case 'resolves':
        return Promise.resolve()
      case 'throws':
        throw new Error(mode)
      case 'rejects':
        return Promise.reject(new Error(mode))
      case 'slow':
        return new Promise<void>(resolve => clock.setTimer(resolve, SLOW))
      case 'late':
        return new Promise((_resolve, reject) => clock.setTimer(() => reject(new Error(mode)), LATE))
      case 'hangs':
        return new Promise(() => {})
      case 'sets': {
        if (!mayReenter || session === undefined) return undefined
        const count = (this.#setsByHooks.get(info as string) ?? 0) + 1
        this.#setsByHooks.set(info as string, count)
        const thing = this.#thing(name, `again${count}`)
        if (name === 'cache') session.set(name, thing, this.#callback(name))
        else session.set(this.#key(name) as 'cache', thing)
        return undefined
      }
      case 'deletes':
        if (mayReenter) void session?.delete(this.#history)
        return undefined
      case 'ends':
        return gradio.endSession(id)
    }
  }
}

function done(_result: unknown): string {
  return 'done'
}
