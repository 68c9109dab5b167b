import { closed, GradioStateError } from '../errors.js'
import { SessionPages } from '../pages/session-pages.js'
import { enterScope, enterScopeLater, findScope, findScopeLater, useScope } from '../sessions/scope-entry.js'
import type { Session } from '../sessions/session.js'
import { SESSION, type SessionAccess } from '../sessions/session-access.js'
import type { Entry } from '../sessions/session-entry.js'
import { usable } from '../sessions/value-access.js'
import type { ScopeState } from '../types.js'
import { FileAccess } from './file-access.js'
import type { InstanceContext } from './instance.js'
import type { RequestEntry } from './request-entry.js'
import { RequestSignal } from './request-signal.js'

/** The state of one scope. */
abstract class ScopeAccess extends FileAccess implements ScopeState {
  protected readonly base: string
  readonly #key: string

  constructor({ sessions, cache }: InstanceContext, key: string, base: string) {
    super(sessions, cache)
    this.#key = key
    this.base = base
  }

  protected override get key(): string {
    return this.#key
  }

  scoped(): never {
    throw scopeOfScope()
  }

  /** The scope has been entered. If it is that of a tab, the tab's open pages are in it, too. */
  protected joinPages(scope: Session): Session {
    for (const entry of SessionPages.of(scope.parent)?.entriesOf(this.key) ?? [])
      if (!entry.isIn(scope)) enterScope(this.sessions, entry, this.key)
    return scope
  }
}

/** The state of a scope in the session of a request: `req.gradioState.scoped(key)`. The request enters the scope at its first use. */
export class RequestScope extends ScopeAccess {
  readonly #request: RequestEntry
  readonly #signal = new RequestSignal()
  #entry: Entry | undefined

  constructor(instance: InstanceContext, request: RequestEntry, key: string, base: string) {
    super(instance, key, base)
    this.#request = request
  }

  get signal(): AbortSignal {
    return this.#signal.of(this.known())
  }

  protected use(): Session {
    if (this.sessions.closing) throw closed()
    const inSession = this.#request.enter()
    usable(inSession.session)
    return usable(this.#enter(inSession).session)
  }

  protected async useLater(): Promise<Session> {
    if (this.sessions.closing) throw closed()
    const inSession = await this.#request.enterLater()
    await inSession.whenReady()
    usable(inSession.session)
    const entry =
      this.#current(inSession) ?? this.#bind(await enterScopeLater(this.sessions, inSession, this.key))
    await entry.whenReady()
    return usable(entry.session)
  }

  protected known(): Session | undefined {
    const session = this.#request.known()
    const inSession = this.#request.current()
    if (session === undefined || inSession === undefined) return undefined
    const isKnown = this.#current(inSession) !== undefined || findScope(this.sessions, session, this.key)
    return isKnown ? this.#enter(inSession).session : undefined
  }

  protected override peek(): Session | undefined {
    const session = this.#request.known()
    if (session !== undefined) usable(session)
    return super.peek()
  }

  /** For shared values: waits for the cluster, since the scope may exist only on another node. */
  override [SESSION](): SessionAccess {
    return { ...super[SESSION](), find: () => this.#find() }
  }

  async #find(): Promise<Session | undefined> {
    const known = this.peek()
    const inSession = this.#request.current()
    if (known !== undefined || inSession === undefined) return known
    const entry = await findScopeLater(this.sessions, inSession, this.key)
    return entry && usable(this.#bind(entry).session)
  }

  #enter(inSession: Entry): Entry {
    return this.#current(inSession) ?? this.#bind(enterScope(this.sessions, inSession, this.key))
  }

  /** The request's entry in the scope, if no login or logout has given the request another session since. */
  #current({ session }: Entry): Entry | undefined {
    return this.#entry?.session.parent === session ? this.#entry : undefined
  }

  #bind(entry: Entry): Entry {
    this.#entry = entry
    this.#signal.follow(entry)
    this.joinPages(entry.session)
    return entry
  }
}

/** The state of a scope in a session that was looked up by its id: `gradio.session(id).scoped(key)`. */
export class KnownScope extends ScopeAccess {
  readonly #session: Session

  constructor(instance: InstanceContext, session: Session, key: string, base: string) {
    super(instance, key, base)
    this.#session = session
  }

  get signal(): AbortSignal {
    return this.known()?.load.signal ?? AbortSignal.abort()
  }

  protected use(): Session {
    return usable(this.joinPages(useScope(this.sessions, this.#session, this.key)))
  }

  protected async useLater(): Promise<Session> {
    return this.use()
  }

  protected known(): Session | undefined {
    return findScope(this.sessions, this.#session, this.key)
  }
}

export function scopeOfScope(): GradioStateError {
  return new GradioStateError(
    'OPTION_INVALID',
    'Expected scoped() to be called on a session, got a scope. Scopes cannot be nested: combine both keys into one.',
  )
}
