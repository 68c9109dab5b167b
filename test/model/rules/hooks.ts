import type { Model } from '../model.ts'
import { type Done, HOOK_TIMEOUT, LATE, type Name, type Session, SLOW, type Source } from '../session.ts'

/** The hooks of a session run one after another. Their modes, and those of the callbacks, determine what they do. */
export class Hooks {
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  inOrder(session: Session, task: (done: Done) => void): void {
    session.hooks.push(task)
    if (session.busy) return
    session.busy = true
    this.#model.time.soon(() => this.#nextHooks(session))
  }

  #nextHooks(session: Session): void {
    const task = session.hooks.shift()
    session.busy = task !== undefined
    task?.(() => this.#model.time.soon(() => this.#nextHooks(session)))
  }

  /** Two hooks of each kind run concurrently: one that follows its mode, and one that just returns. */
  run(session: Session, source: Source, reason: string, done: Done): void {
    this.#model.time.say(`${session.name} ${source} ${reason} ${session.show()}`)
    this.call(source, session, true, undefined, done)
    this.#model.time.say(`${session.name} ${source} too`)
  }

  call(source: Source, session: Session, mayReenter: boolean, name: Name | undefined, done: Done): void {
    const error = (what: string) =>
      this.#model.time.say(`error ${what} ${source} ${session.name}${name === undefined ? '' : ` ${name}`}`)
    const timeOut = () => {
      error('HOOK_TIMEOUT')
      this.#model.lifecycle.noteOutran(`${source} ${session.name}${name === undefined ? '' : ` ${name}`}`)
      done()
    }
    const mode = this.#model.modes[source]
    switch (mode) {
      case 'throws':
      case 'rejects':
        error(mode)
        break
      case 'slow':
        this.#model.time.later(SLOW, done)
        return
      case 'late':
        this.#model.time.later(LATE, () => error(mode))
        this.#model.time.later(HOOK_TIMEOUT, timeOut)
        return
      case 'hangs':
        this.#model.time.later(HOOK_TIMEOUT, timeOut)
        return
      case 'sets':
        if (mayReenter && !session.over)
          this.#model.values.set(session, name ?? 'model', `again${++session.setsByHooks}`, false)
        break
      case 'deletes':
        if (mayReenter && !session.over) this.#model.values.deleteAgain(session)
        break
      case 'ends':
        if (!session.over) this.#model.lifecycle.end(session, 'ended')
        break
    }
    done()
  }
}
