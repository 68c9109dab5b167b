import { v4 as uuid } from 'uuid'
import { sessionEnded } from '../errors.js'
import type { Reason } from '../types.js'
import type { Clock } from '../util/clock.js'
import { detachString } from '../util/detach-string.js'
import type { SessionInit } from './entry.js'
import type { Hooks } from './hooks.js'
import type { PendingEntries } from './pending-entries.js'
import { Presence, type PresenceRules } from './presence.js'
import type { SessionRegistry } from './registry.js'
import { parentToken } from './scopes.js'
import { Session, type SessionContext } from './session.js'

/** What the starter needs from this process's sessions. */
export interface StarterContext {
  readonly config: PresenceRules & { readonly clock: Clock; readonly maxScopes: number }
  readonly hooks: Hooks
  readonly registry: SessionRegistry
  readonly session: SessionContext
  /** In a cluster: the entries that wait for its answer. */
  pendingEntries(): PendingEntries | undefined
  end(session: Session, reason: Reason): void
}

/** Starts sessions and scopes in this process, and evicts others to make room for them. */
export class SessionStarter {
  readonly #context: StarterContext

  constructor(context: StarterContext) {
    this.#context = context
  }

  /**
   * Starts the session or scope of a token because of an entry in this process.
   * @throws GradioStateError `TOO_MANY_SESSIONS`, `TOO_MANY_SCOPES`; `SESSION_ENDED` for a scope whose session has ended
   */
  start(token: string, sessionInit: SessionInit | undefined): Session {
    const pendingEntries = this.#context.pendingEntries()
    if (!pendingEntries?.mayBegin(token)) this.makeRoom(token)
    const id = pendingEntries?.proposedId(token) ?? detachString(uuid())
    return this.begin(detachString(token), id, this.#context.config.clock.wall(), sessionInit)
  }

  /** Evicts a session or scope if there is no room for that of `token`. @throws as {@link start} */
  makeRoom(token: string): void {
    const { config, registry } = this.#context
    const parent = this.#parentOf(token)
    const toEvict =
      parent === undefined
        ? registry.sessionToEvict(this.#context.pendingEntries()?.beginning ?? 0)
        : registry.scopeToEvict(parent, config.maxScopes)
    if (toEvict !== undefined) this.#context.end(toEvict, 'evicted')
  }

  begin(token: string, id: string, createdAt: number, sessionInit: SessionInit | undefined): Session {
    const { hooks, registry } = this.#context
    const parent = this.#parentOf(token)
    let infoValue = parent?.info
    const info = sessionInit?.info
    if (info !== undefined) {
      hooks.callHere({ source: 'info', session: id }, () => {
        infoValue = info()
        return infoValue
      })
    }
    const session = this.#make(token, id, createdAt, infoValue, parent)
    registry.add(session)
    this.#context.pendingEntries()?.begun(session)
    hooks.events.sessionBegan(session)
    return session
  }

  /** A session of which this process keeps nothing. @param parentId of a scope: the id of the session that it belongs to */
  makeRemote(token: string, id: string, createdAt: number, parentId = ''): Session {
    const parent = parentToken(token)
    const ofScope =
      parent === undefined
        ? undefined
        : (this.#context.registry.findById(parentId) ?? this.#make(parent, parentId, 0, undefined, undefined))
    const session = this.#make(token, id, createdAt, undefined, ofScope)
    session.presence.keepsLoaded = session.presence.keepsState = false
    return session
  }

  /** @throws GradioStateError `SESSION_ENDED` */
  #parentOf(token: string): Session | undefined {
    const parent = parentToken(token)
    if (parent === undefined) return undefined
    const session = this.#context.registry.find(parent)
    if (session === undefined) throw sessionEnded()
    return session
  }

  #make(token: string, id: string, createdAt: number, info: unknown, parent: Session | undefined): Session {
    const presence = new Presence(this.#context.config, parent?.presence)
    return new Session({ token, id, createdAt, info, parent }, presence, this.#context.session)
  }
}
