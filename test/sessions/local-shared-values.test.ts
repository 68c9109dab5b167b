import { Events } from '../../lib/events.ts'
import { LocalSharedValues } from '../../lib/sessions/local-shared-values.ts'
import { Sessions } from '../../lib/sessions/sessions.ts'
import type { ValueClaim } from '../../lib/sessions/shared-value-store.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { describeSharedValues } from '../contract/shared-values.ts'

describeSharedValues('in one process', () => {
  const clock = fakeClock()
  const sessions = new Sessions({
    clock,
    events: new Events(),
    gracePeriod: 60_000,
    unloadDelay: 2_000,
    hookTimeout: 5_000,
    maxSessions: 100,
    maxScopes: 1,
    cache: { pathOf: id => id },
    mountPaths: { routesOf: () => '/gradio_api' },
    agreedOptions: {},
  })
  const expired: ValueClaim[] = []
  const values = new LocalSharedValues(
    sessions.deadlines,
    token => sessions.find(token),
    (_session, claim) => expired.push(claim),
  )
  return {
    clock,
    values,
    async begin(token) {
      return sessions.enter(token, { kind: 'page' }, { info: undefined }).session
    },
    async end(token) {
      const session = sessions.find(token)
      if (session === undefined) throw new Error(`Expected a session of ${token}`)
      const ended = values.end(session)
      await sessions.end(session, 'ended')
      return ended
    },
    expired: async () => expired.splice(0),
    extend: async () => true,
    complete: async () => true,
  }
})
