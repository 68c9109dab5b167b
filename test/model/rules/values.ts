import type { Model } from '../model.ts'
import {
  type Done,
  type EndReason,
  type Name,
  NO_OPTIONS,
  type Session,
  VALUE_SETTINGS,
  type Value,
} from '../session.ts'

/** The values of sessions, and their callbacks. */
export class Values {
  readonly #model: Model
  #initials = 0

  constructor(model: Model) {
    this.#model = model
  }

  initial(session: Session): Value {
    if (!session.values.has('history')) this.set(session, 'history', `initial${++this.#initials}`, false)
    return session.values.get('history')!
  }

  set(session: Session, name: Name, label: string, isBare: boolean, same?: Value): void {
    const old = session.values.get(name)
    const isPlain = name === 'cache' || name === 'handle'
    const given = name === 'handle' ? undefined : isPlain && isBare ? undefined : VALUE_SETTINGS[name]
    const settings = given ?? old?.settings ?? (name === 'handle' ? VALUE_SETTINGS.handle : NO_OPTIONS)
    if (same !== undefined) {
      same.settings = settings
      this.arm(same)
      return
    }
    const value: Value = { name, label, settings, due: undefined }
    session.values.set(name, value)
    this.arm(value)
    if (old?.settings.deleteReplaced) this.release(session, old, 'replaced')
  }

  arm(value: Value): void {
    value.due = this.#model.time.in(value.settings.timeToLive)
  }

  expire(session: Session, value: Value): void {
    session.values.delete(value.name)
    this.release(session, value, 'timeToLive')
  }

  deleteAll(session: Session, reason: EndReason, done: Done): void {
    const values = [...session.values.values()]
    session.values.clear()
    session.afterCallbacks = () => {
      session.finalValues = values
      done()
    }
    session.callbacks++
    for (const value of values) this.release(session, value, reason)
    this.#callbackSettled(session)
  }

  /** Calls the callback of a value that was already removed. */
  release(session: Session, value: Value, reason: string, done?: Done): void {
    const { name, label, settings } = value
    if (settings.deletion === 'dispose') this.#model.time.say(`disposes ${name}=${label}`)
    if (settings.deletion !== 'callback') {
      done?.()
      return
    }
    session.callbacks++
    this.#model.time.say(`${session.name} deletes ${name}=${label} ${reason}`)
    this.#model.hooks.call('deleteCallback', session, reason !== 'replaced', name, () => {
      this.#callbackSettled(session)
      done?.()
    })
  }

  #callbackSettled(session: Session): void {
    if (--session.callbacks > 0) return
    const { afterCallbacks } = session
    session.afterCallbacks = undefined
    afterCallbacks?.()
  }

  deleteAgain(session: Session): void {
    const value = session.values.get('history')
    if (value === undefined) return
    session.values.delete('history')
    this.release(session, value, 'deleted')
  }
}
