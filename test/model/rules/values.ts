import type { Model } from '../model.ts'
import {
  type Done,
  type EndReason,
  KEEPING,
  type Name,
  NO_OPTIONS,
  type Session,
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
    const given = name === 'handle' ? undefined : isPlain && isBare ? undefined : KEEPING[name]
    const keeping = given ?? old?.keeping ?? (name === 'handle' ? KEEPING.handle : NO_OPTIONS)
    if (same !== undefined) {
      same.keeping = keeping
      this.arm(same)
      return
    }
    const value: Value = { name, label, keeping, due: undefined }
    session.values.set(name, value)
    this.arm(value)
    if (old?.keeping.deleteReplaced) this.release(session, old, 'replaced')
  }

  arm(value: Value): void {
    value.due = this.#model.time.in(value.keeping.timeToLive)
  }

  expire(session: Session, value: Value): void {
    session.values.delete(value.name)
    this.release(session, value, 'timeToLive')
  }

  deleteAll(session: Session, reason: EndReason, done: Done): void {
    const values = [...session.values.values()]
    session.values.clear()
    session.afterCallbacks = () => {
      session.final = values
      done()
    }
    session.callbacks++
    for (const value of values) this.release(session, value, reason)
    this.#calledBack(session)
  }

  /** Calls the callback of a value that is removed already. */
  release(session: Session, value: Value, reason: string, done?: Done): void {
    const { name, label, keeping } = value
    if (keeping.deletion === 'dispose') this.#model.time.say(`disposes ${name}=${label}`)
    if (keeping.deletion !== 'callback') {
      done?.()
      return
    }
    session.callbacks++
    this.#model.time.say(`${session.name} deletes ${name}=${label} ${reason}`)
    this.#model.hooks.call('deleteCallback', session, reason !== 'replaced', name, () => {
      this.#calledBack(session)
      done?.()
    })
  }

  #calledBack(session: Session): void {
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
