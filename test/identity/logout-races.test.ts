// Requests of one browser that overlap with its logout, or with a login over another user, in any order.

import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import type { RequestState } from '../../lib/index.ts'
import { frameworkHarness, type HarnessRequest } from '../support/sessions/framework-harness.ts'
import { deferred } from '../support/sessions/harness.ts'
import { TroubledStore } from '../support/stores/troubled-store.ts'

// biome-ignore lint/suspicious/noExplicitAny: the callbacks of the methods differ
type Done = (...answer: any[]) => void

/** A store that waits before it does something, and before it calls back. */
class SlowStore extends TroubledStore {
  wait: (what: string) => Promise<unknown> = async () => {}

  override get(id: string, done: Done): void {
    this.#slowly('get', done, answer => super.get(id, answer))
  }

  override set(id: string, data: never, done?: Done): void {
    this.#slowly('set', done, answer => super.set(id, data, answer))
  }

  override touch(id: string, data: never, done?: Done): void {
    this.#slowly('touch', done, answer => super.touch(id, data, answer))
  }

  override destroy(id: string, done?: Done): void {
    this.#slowly('destroy', done, answer => super.destroy(id, answer))
  }

  #slowly(what: string, done: Done | undefined, work: (answer: Done) => void): void {
    void this.wait(what).then(() =>
      work((...answer) => void this.wait(`${what} is done`).then(() => done?.(...answer))),
    )
  }
}

type Leave = (request: HarnessRequest) => Promise<void>

const settled = (begin: (done: (error?: unknown) => void) => void) =>
  new Promise<void>((resolve, reject) => begin(error => (error ? reject(error) : resolve())))

const destroy: Leave = ({ session }) => settled(done => session.destroy(done))
const regenerate: Leave = ({ session }) => settled(done => session.regenerate(done))

/** As Passport 0.7 does it; with `keepSessionInfo` it copies the whole session. */
function passportLogout(keepSessionInfo: boolean): Leave {
  return async request => {
    const req = request.req as typeof request.req & { user: unknown; session: HarnessRequest['session'] }
    const { session } = req
    req.user = null
    await settled(done => session.save(done))
    await settled(done => req.session.regenerate(done))
    if (keepSessionInfo) Object.assign(req.session, session)
  }
}

const WAYS: readonly [string, 'end' | 'keep', Leave][] = [
  ['destroy', 'end', destroy],
  ['destroy', 'keep', destroy],
  ['regenerate', 'end', regenerate],
  ["Passport's logout", 'end', passportLogout(false)],
  ["Passport's logout", 'keep', passportLogout(false)],
  ["Passport's logout with keepSessionInfo", 'end', passportLogout(true)],
  ["Passport's logout with keepSessionInfo", 'keep', passportLogout(true)],
]

for (const [way, onRegenerate, leave] of WAYS) {
  it(`in any order of requests, the next user sees nothing of the previous one, after ${way} (onRegenerate: '${onRegenerate}')`, async t => {
    const store = new SlowStore()
    const harness = frameworkHarness(t, {
      store,
      options: { onRegenerate, maxSessions: 1_000_000 },
      session: { saveUninitialized: true },
    })

    const property = fc.asyncProperty(
      fc.scheduler(),
      fc.boolean(),
      fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 3 }),
      async (scheduler, wasUsed, usesOfOld) => {
        store.wait = async () => {}
        const me = harness.user()
        await me.request(({ state }) => {
          if (wasUsed) state.set('owner', 'old')
        })
        const { cookie, id: gone } = me
        const [oldIds, newIds] = [new Set<string>(), new Set<string>()]
        store.wait = what => scheduler.schedule(Promise.resolve(), what)
        const turn = (what: string) => scheduler.schedule(Promise.resolve(), what)

        /** Reads and writes, unless this request can't any more; a value that is read must belong to the same user. */
        function use(state: RequestState, owner: 'old' | 'new', ids: Set<string>): void {
          try {
            ids.add(state.id)
          } catch (error) {
            assert.equal((error as { code: string }).code, 'SESSION_ENDED')
            return
          }
          assert.ok([undefined, owner].includes(state.get('owner') as undefined), `${owner} saw the other`)
          state.set('owner', owner)
        }

        const arrivals = usesOfOld.map(() => deferred())
        const late = usesOfOld.map(async (uses, index) => {
          await turn(`old ${index} is sent`)
          await harness.user(cookie).request(async ({ state }) => {
            arrivals[index]?.resolve()
            for (let turns = 0; turns <= uses; turns++) {
              await turn(`old ${index} uses`)
              use(state, 'old', oldIds)
            }
            await turn(`old ${index} is answered`)
          })
        })
        const leaving = async () => {
          await turn('the logout is sent')
          await me.request(async request => {
            await turn('the logout begins')
            // Otherwise express-session itself may save the marker after the logout, for the next user.
            if (!wasUsed) await Promise.all(arrivals.map(({ promise }) => promise))
            await leave(request)
            await turn('the logout goes on')
            // After `destroy` there is no session to use.
            if (request.req && 'session' in request.req && request.req.session)
              use(request.state, 'new', newIds)
          })
          for (let requests = 0; requests < 2; requests++) {
            await turn('the new user sends')
            await me.request(async ({ state }) => {
              await turn('the new user uses')
              use(state, 'new', newIds)
            })
          }
          if (wasUsed) assert.notEqual(me.cookie, cookie)
        }
        await scheduler.waitFor(Promise.all([leaving(), ...late]))
        store.wait = async () => {}
        for (const id of newIds) assert.ok(!oldIds.has(id), 'one session for two users')
        assert.equal(newIds.size, 1)
        if (me.cookie !== cookie) {
          await harness.user(cookie).request(({ state }) => {
            assert.notEqual(state.get('owner'), 'new')
            assert.ok(!newIds.has(state.id))
            if (wasUsed) assert.equal(state.get('owner'), undefined, 'the logout has ended it')
          })
        }
        if (wasUsed) assert.ok(!store.ids.includes(gone), 'the logout is not undone')
        await harness.clock.advance(1)
      },
    )
    await fc.assert(property, { seed: 1, numRuns: 75 })
  })
}
