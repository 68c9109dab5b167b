import type { CoordinatorEvents, SessionClaim, Share } from '../../../lib/sessions/coordinator.ts'
import type { Reason } from '../../../lib/types.ts'
import type { MemoryCoordinator } from './memory-coordinator.ts'
import type { KeptValue } from './memory-values.ts'

/** One node's share of a session. */
export interface Kept {
  keepsLoaded: boolean
  keepsState: boolean
  endAt: number
  expected: number[]
  navigations: number
}

/** A session, as all nodes see it. */
export class SharedSession {
  readonly token: string
  readonly id: string
  readonly createdAt: number
  /** Increases with each change. */
  version = 0
  phase: 'loaded' | 'unloading' | 'unloaded' = 'loaded'
  load = 1
  fence = 0
  reason: Reason = 'disconnected'
  hadPage = false
  everHadPage = false
  readonly shares = new Map<MemoryCoordinator, Kept>()
  readonly pages = new Map<string, MemoryCoordinator>()
  readonly values = new Map<string, KeptValue>()
  valueVersion = 0
  /** When the shares of nodes that are gone expire. */
  unloadAt = 0
  endAt = 0

  constructor({ token, id, createdAt }: { token: string; id: string; createdAt: number }) {
    this.token = token
    this.id = id
    this.createdAt = createdAt
  }

  keep(node: MemoryCoordinator, share: Share, endAt: number): void {
    const { keepsState, expected, navigations } = share
    // Only `enter` loads: a report that doesn't know of the new load changes nothing.
    const isPresent = this.phase === 'loaded' && share.load === this.load
    const keepsLoaded = share.keepsLoaded && (isPresent || this.shares.get(node)?.keepsLoaded === true)
    this.shares.set(node, { keepsLoaded, keepsState, endAt, expected: [...expected], navigations })
  }

  /** That node no longer has a share. */
  part(node: MemoryCoordinator): Kept | undefined {
    const kept = this.shares.get(node)
    this.shares.delete(node)
    for (const [page, owner] of this.pages) if (owner === node) this.pages.delete(page)
    return kept
  }

  isKept(what: 'keepsLoaded' | 'keepsState'): boolean {
    return [...this.shares.values()].some(kept => kept[what])
  }

  due(): [unload: number, end: number] {
    if (this.phase === 'unloading') return [NEVER, NEVER]
    const isUnloadDue = this.phase === 'loaded' && !this.isKept('keepsLoaded')
    return [isUnloadDue ? this.unloadAt : NEVER, this.isKept('keepsState') ? NEVER : this.endAt]
  }

  valueDue(): number {
    return Math.min(...[...this.values.values()].map(({ expiresAt }) => expiresAt))
  }

  /** The nodes that expect a page, and until when. */
  awaiting(now: number): { node: MemoryCoordinator; until: number }[] {
    return [...this.shares].flatMap(([node, kept]) => {
      kept.expected = kept.expected.filter(until => until > now)
      const until = kept.expected[0] ?? (kept.navigations > 0 ? Number.MAX_VALUE : undefined)
      return until === undefined ? [] : [{ node, until }]
    })
  }

  /** A page entered at that node. @returns the node whose expectation it uses */
  expectPage(at: MemoryCoordinator, now: number): MemoryCoordinator | undefined {
    const sorted = this.awaiting(now).sort((a, b) => a.until - b.until || (a.node === at ? -1 : 1))
    const node = sorted[0]?.node
    const kept = node && this.shares.get(node)
    if (kept === undefined) return undefined
    if (kept.expected.length > 0) kept.expected.shift()
    else kept.navigations--
    return node
  }

  /** Notifies all nodes with a share but one. */
  tellOthers(
    but: MemoryCoordinator | undefined,
    emit: (events: CoordinatorEvents, id: string, node: MemoryCoordinator) => void,
    overtaken: typeof emit = () => {},
  ): void {
    for (const node of this.shares.keys()) {
      if (node === but) continue
      node.tell(this.id, this.version, (events, id) => emit(events, id, node), {
        overtaken: (events, id) => overtaken(events, id, node),
      })
    }
  }

  claim(phase: SessionClaim['phase']): SessionClaim {
    const { token, id, createdAt, load, reason, everHadPage } = this
    const isLoaded = this.phase !== 'unloaded'
    const values =
      phase === 'unload'
        ? []
        : [...this.values.values()].map(({ name, data, version }) => ({ name, data, version }))
    const fence = ++this.fence
    return {
      token,
      id,
      createdAt,
      load,
      reason,
      phase,
      isLoaded,
      hadPage: everHadPage,
      values,
      fence,
    }
  }
}

const NEVER = Number.POSITIVE_INFINITY
