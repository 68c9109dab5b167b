import { sessionEnded } from '../errors.js'
import { Deadline, type Deadlines } from '../util/scheduler.js'
import type { SharedOwner } from './session-access.js'
import type {
  SharedValue,
  SharedValueStore,
  ValueClaim,
  WriteOptions,
  WriteResult,
} from './shared-value-store.js'

/** The shared values of one session. Kept when empty, because versions must not repeat. */
export interface LocalValues {
  readonly byName: Map<string, { readonly value: SharedValue; readonly deadline: Deadline }>
  version: number
}

/** The session that owns shared values. */
export interface LocalOwner extends SharedOwner {
  readonly createdAt: number
  localValues: LocalValues | undefined
}

/** The shared values of a process without a cluster. */
export class LocalSharedValues implements SharedValueStore {
  readonly #deadlines: Deadlines
  readonly #find: (token: string) => LocalOwner | undefined
  readonly #expired: (session: LocalOwner, claim: ValueClaim) => void

  /**
   * @param find finds the current session of a token
   * @param expired runs the callback of a value whose time to live has passed
   */
  constructor(
    deadlines: Deadlines,
    find: (token: string) => LocalOwner | undefined,
    expired: (session: LocalOwner, claim: ValueClaim) => void,
  ) {
    this.#deadlines = deadlines
    this.#find = find
    this.#expired = expired
  }

  async read(token: string, id: string, name: string): Promise<SharedValue | undefined> {
    return this.#owner(token, id).localValues?.byName.get(name)?.value
  }

  async write(
    token: string,
    id: string,
    name: string,
    data: string,
    options: WriteOptions,
  ): Promise<WriteResult> {
    const { timeToLive, ifVersion, claimReplaced = false } = options
    const session = this.#owner(token, id)
    session.localValues ??= { byName: new Map(), version: 0 }
    const { byName } = session.localValues
    const old = byName.get(name)
    if (ifVersion !== undefined && ifVersion !== (old?.value.version ?? 0)) return { written: false }
    if (old?.value.data === data) {
      this.#deadlines.schedule(old.deadline, timeToLive)
      return { written: true }
    }
    if (old !== undefined) this.#deadlines.cancel(old.deadline)
    const value = { name, data, version: ++session.localValues.version }
    const deadline = new Deadline(() => {
      byName.delete(name)
      this.#expired(session, claimOf(session, value, 'timeToLive'))
    })
    byName.set(name, { value, deadline })
    this.#deadlines.schedule(deadline, timeToLive)
    return {
      written: true,
      replaced: old && claimReplaced ? claimOf(session, old.value, 'replaced') : undefined,
    }
  }

  async touch(token: string, id: string, name: string, timeToLive: number): Promise<boolean> {
    const kept = this.#owner(token, id).localValues?.byName.get(name)
    if (kept !== undefined) this.#deadlines.schedule(kept.deadline, timeToLive)
    return kept !== undefined
  }

  async delete(token: string, id: string, name: string): Promise<ValueClaim | undefined> {
    const session = this.#owner(token, id)
    const kept = session.localValues?.byName.get(name)
    if (kept === undefined) return undefined
    this.#deadlines.cancel(kept.deadline)
    session.localValues?.byName.delete(name)
    return claimOf(session, kept.value, 'deleted')
  }

  /** Deletes the values of a session that has ended, and returns them. */
  end({ localValues }: LocalOwner): SharedValue[] {
    const all = [...(localValues?.byName.values() ?? [])]
    localValues?.byName.clear()
    for (const { deadline } of all) this.#deadlines.cancel(deadline)
    return all.map(({ value }) => value)
  }

  #owner(token: string, id: string): LocalOwner {
    const session = this.#find(token)
    if (session?.id !== id) throw sessionEnded()
    return session
  }
}

/** Without a cluster, a claim needs neither extending nor completing. */
function claimOf(
  { token, id, createdAt }: LocalOwner,
  value: SharedValue,
  reason: ValueClaim['reason'],
): ValueClaim {
  return { ...value, phase: 'value', token, sessionId: id, createdAt, reason, fence: 0 }
}
