import type { Model } from '../model.ts'
import type { Entry, Kind, Name, Request, Session, Tracked, Use, User } from '../session.ts'

/** An error with the code that the library's operation throws. */
class Refusal extends Error {}

/** The requests of the app, what it does with their sessions, and the sockets that it tracks with them. */
export class Requests {
  readonly all: Request[] = []
  /** Tracked sockets, by label. */
  readonly tracked = new Map<string, Tracked>()
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  begin(label: string, user: User, kind: Kind, isByScript: boolean): void {
    const request: Request = {
      label,
      user,
      kind,
      isByScript,
      isPageExpected: false,
      token: user.token,
      newToken: undefined,
      entry: undefined,
      load: undefined,
      passed: false,
      ended: undefined,
    }
    this.all.push(request)
    const { token } = request
    if (token === undefined) {
      this.#pass(request)
      return
    }
    this.#model.entries.find(token, kind, entry => {
      if (entry === undefined) return this.#pass(request)
      this.#bind(request, entry)
      this.#model.entries.whenReady(entry, () => this.#pass(request))
    })
  }

  #pass(request: Request): void {
    request.passed = true
    this.#model.time.say(`${request.label} passed`)
  }

  /** Answers a request, or breaks its connection. */
  end(request: Request, how: 'html' | 'json' | 'broken'): void {
    request.ended = how
    if (how !== 'broken') this.#model.deliver(request.user, request.newToken)
    if (request.entry !== undefined)
      this.#model.entries.leave(request.entry, { html: how === 'html' || request.isPageExpected })
  }

  use(request: Request, use: Use, name: Name, label: string): void {
    const result = (text: string) => this.#model.time.say(`${label} ${request.label} ${use} ${text}`)
    try {
      switch (use) {
        case 'get':
          if (name === 'history') result(this.#model.values.initial(this.#use(request)).label)
          else result(this.#peek(request)?.values.get(name)?.label ?? 'none')
          break
        case 'set':
        case 'bare':
          this.#model.values.set(this.#use(request), name, label, use === 'bare')
          result('done')
          break
        case 'same': {
          const value = this.#peek(request)?.values.get(name)
          if (value !== undefined) this.#model.values.set(this.#use(request), name, value.label, true, value)
          result(value ? 'done' : 'none')
          break
        }
        case 'update':
          if (name === 'history') this.#model.values.initial(this.#use(request))
          else this.#peek(request)
          this.#model.values.set(this.#use(request), name, label, true)
          result('done')
          break
        case 'touch': {
          const value = this.#peek(request)?.values.get(name)
          if (value !== undefined) this.#model.values.arm(value)
          result(String(value !== undefined))
          break
        }
        case 'has':
          result(String(this.#peek(request)?.values.has(name) ?? false))
          break
        case 'delete': {
          const session = this.#peek(request)
          const value = session?.values.get(name)
          if (session === undefined || value === undefined) {
            result('false')
            return
          }
          session.values.delete(name)
          this.#model.values.release(session, value, 'deleted', () => result('true'))
          break
        }
        case 'id':
          result(this.#use(request).name)
          break
        case 'establish': {
          const begun = (entry: Entry) =>
            this.#model.time.soon(() => {
              if (entry.session.over) return result('SESSION_ENDED')
              this.#model.entries.whenReady(entry, () => result('done'))
            })
          if (request.entry === undefined) this.#begin(request, begun, result)
          else begun(request.entry)
          break
        }
        case 'end': {
          const session = request.entry?.session
          if (session === undefined) result('done')
          else if (session.over) this.#model.lifecycle.whenFinished(session, () => result('done'))
          else this.#model.lifecycle.end(session, 'ended', () => result('done'))
          break
        }
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      result(error.message)
    }
  }

  /** The app tracks one of its sockets, with a request. */
  track(request: Request, label: string): void {
    try {
      const tracked: Tracked = { entry: undefined, isClosed: false }
      this.#model.entries.find(this.#use(request).token, 'page', entry => {
        tracked.entry = entry
        if (tracked.isClosed) this.#leaveTracked(tracked)
      })
      this.tracked.set(label, tracked)
      this.#model.time.say(`${label} tracked`)
    } catch (error) {
      this.#model.time.say(`${label} ${(error as Error).message}`)
    }
  }

  closeTracked(label: string): void {
    const tracked = this.tracked.get(label)!
    this.tracked.delete(label)
    tracked.isClosed = true
    this.#model.time.soon(() => this.#leaveTracked(tracked))
  }

  #leaveTracked({ entry }: Tracked): void {
    if (entry !== undefined) this.#model.entries.leave(entry, { abrupt: true })
  }

  #use(request: Request): Session {
    if (this.#model.isClosing) throw new Refusal('CLOSED')
    if (request.entry === undefined) {
      this.#begin(
        request,
        () => {},
        code => {
          throw new Refusal(code)
        },
      )
    }
    return this.#peek(request)!
  }

  #peek(request: Request): Session | undefined {
    if (request.entry?.session.over) throw new Refusal('SESSION_ENDED')
    return request.entry?.session
  }

  #begin(request: Request, begun: (entry: Entry) => void, refused: (code: string) => void): void {
    const isAnswered = request.ended !== undefined && request.ended !== 'broken'
    if (request.token === undefined && isAnswered) {
      refused('HEADERS_SENT')
      return
    }
    const bind = (entry: Entry) => {
      this.#bind(request, entry)
      begun(entry)
    }
    // The request continues in a later microtask than the cluster's answer.
    const arrived = (entry: Entry) => {
      if (this.#model.settings.isAsync) this.#model.time.soon(() => bind(entry))
      else bind(entry)
    }
    const { token, kind, label, isByScript } = request
    if (token === undefined) request.newToken = label
    // In a cluster, the session of a known token may be on another node.
    const begins = token === undefined || (!this.#model.settings.isAsync && !this.#model.sessions.has(token))
    request.isPageExpected = isByScript && kind === 'request' && begins
    this.#model.entries.come(
      token ?? label,
      request.isPageExpected ? 'navigation' : kind,
      label,
      arrived,
      code => {
        request.newToken = undefined
        refused(code)
      },
    )
  }

  #bind(request: Request, entry: Entry): void {
    request.entry = entry
    this.#model.entries.whenReady(entry, () => {
      request.load = entry.session.load
    })
    if (request.ended !== undefined) this.#model.entries.leave(entry, {})
  }
}
