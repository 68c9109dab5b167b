import { sessionEnded } from '../../../lib/errors.ts'
import type {
  SharedValue,
  SharedValueStore,
  ValueClaim,
  WriteOptions,
  WriteResult,
} from '../../../lib/sessions/shared-value-store.ts'
import type { MemoryCluster, SharedSession } from './memory-cluster.ts'
import type { MemoryCoordinator } from './memory-coordinator.ts'

/** A shared value, and when it expires. */
export interface KeptValue extends SharedValue {
  readonly expiresAt: number
}

/** The shared values as one node reads and writes them. */
export class MemoryValues implements SharedValueStore {
  readonly #cluster: MemoryCluster
  readonly #node: MemoryCoordinator

  constructor(cluster: MemoryCluster, node: MemoryCoordinator) {
    this.#cluster = cluster
    this.#node = node
  }

  read(token: string, id: string, name: string): Promise<SharedValue | undefined> {
    return this.#of(token, id, ({ values }) => {
      const kept = values.get(name)
      return kept && { name, data: kept.data, version: kept.version }
    })
  }

  write(token: string, id: string, name: string, data: string, how: WriteOptions): Promise<WriteResult> {
    return this.#of(token, id, (session): WriteResult => {
      const old = session.values.get(name)
      if (how.ifVersion !== undefined && how.ifVersion !== (old?.version ?? 0)) return { written: false }
      const isSame = old?.data === data
      const version = isSame ? old.version : ++session.valueVersion
      this.#keep(session, { name, data, version }, how.timeToLive)
      if (old === undefined || isSame || !how.claimReplaced) return { written: true }
      return { written: true, replaced: this.#cluster.grantValue(this.#node, session, old, 'replaced') }
    })
  }

  touch(token: string, id: string, name: string, timeToLive: number): Promise<boolean> {
    return this.#of(token, id, session => {
      const kept = session.values.get(name)
      if (kept !== undefined) this.#keep(session, kept, timeToLive)
      return kept !== undefined
    })
  }

  delete(token: string, id: string, name: string): Promise<ValueClaim | undefined> {
    return this.#of(token, id, session => {
      const kept = session.values.get(name)
      session.values.delete(name)
      return kept && this.#cluster.grantValue(this.#node, session, kept, 'deleted')
    })
  }

  #keep(session: SharedSession, { name, data, version }: SharedValue, timeToLive: number): void {
    const expiresAt = this.#cluster.clock.now() + timeToLive
    session.values.set(name, { name, data, version, expiresAt })
    if (timeToLive < Number.POSITIVE_INFINITY) this.#node.due(timeToLive)
  }

  #of<T>(token: string, id: string, use: (session: SharedSession) => T): Promise<T> {
    return this.#node.ask(() => {
      const session = this.#cluster.find({ token, id: this.#node.nameThere(id) })
      if (session === undefined) throw sessionEnded()
      return use(session)
    })
  }
}
