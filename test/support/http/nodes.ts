import type { TestContext } from 'node:test'
import express, { type Express } from 'express'
import { type GradioState, type GradioStateOptions, gradioState } from '../../../lib/index.ts'
import { clusterOf } from '../../../lib/sessions/cluster-option.ts'
import { steppedClock } from '../../../lib/testing/fake-clock.ts'
import type { FakeClock, Visitor } from '../../../lib/testing/index.ts'
import { MemoryCluster } from '../cluster/memory-cluster.ts'
import { MemoryCoordinator, type Way } from '../cluster/memory-coordinator.ts'
import type { PlaceSetting } from '../cluster/places.ts'
import { closeNow } from '../sessions/close-now.ts'
import { type Served, serve } from './express.ts'

// Several nodes behind a balancer without sticky sessions, in one process: each is a separate server, with a separate
// instance.

export interface Node extends Served {
  readonly gradio: GradioState
  /** The coordinator, if the sessions are shared in memory. */
  readonly coordinator: MemoryCoordinator
  /** The reported errors. */
  readonly errors: unknown[]
  /** Holds back the messages to this node, until the returned function is called. */
  hold(...ways: Way[]): () => void
}

/** Where the sessions are, if not in memory: a setting of places.ts. */
type Shared = Pick<PlaceSetting, 'place' | 'beside'>

export interface Nodes extends Array<Node> {
  readonly clock: FakeClock
}

/** A user whose requests reach any node. */
export interface RoamingUser {
  at(node: Node): Visitor
}

export interface NodesOptions {
  readonly options?: GradioStateOptions
  /** A place where nothing can be held back. @default in memory */
  readonly setting?: Shared
  /** The middleware of each node, before the library and after. */
  before?(app: Express, node: number): void
  routes?(app: Express, gradio: GradioState): void
}

export async function nodes(t: TestContext, count: number, setUp: NodesOptions = {}): Promise<Nodes> {
  const { setting } = setUp
  const clock: FakeClock =
    setting?.place().clock ?? steppedClock({ wall: Date.UTC(2026, 0, 1), rest: () => shared.rest() })
  const shared = new MemoryCluster(clock)
  const all: Node[] = []
  for (let number = 0; number < count; number++) {
    const coordinator = new MemoryCoordinator(shared)
    const { cluster = clusterOf(() => coordinator) } = setting?.beside(clock) ?? {}
    const gradio = gradioState({ clock, cluster, ...setUp.options })
    const errors: unknown[] = []
    gradio.on('error', error => errors.push(error))
    const app = express()
    app.set('env', 'test')
    setUp.before?.(app, number)
    app.use(gradio)
    setUp.routes?.(app, gradio)
    const served = await serve(t, app)
    gradio.attach(served.server)
    t.after(() => closeNow(gradio, clock))
    const hold = (...ways: Way[]) => {
      if (setting !== undefined) throw new Error('Expected the sessions to be shared in memory')
      return coordinator.hold(...(ways.length > 0 ? ways : (['answers', 'messages'] as const)))
    }
    all.push({ ...served, gradio, coordinator, errors, hold })
  }
  // On Redis, they have to connect first.
  await clock.advance(0)
  return Object.assign(all, { clock })
}

/** A new user, without cookies. */
export function roamingUser(): RoamingUser {
  const cookies = new Map<string, string>()
  return {
    at(node) {
      const visitor = node.visitor()
      // The cookies belong to the user, whichever node set them.
      for (const [name, value] of cookies) visitor.cookies.set(name, value)
      visitor.cookies.set = (name, value) => {
        cookies.set(name, value)
        return Map.prototype.set.call(visitor.cookies, name, value)
      }
      return visitor
    },
  }
}
