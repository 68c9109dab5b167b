import fc from 'fast-check'
import { type Mode, NAMES, type Name, type Source, USERS, type Use } from './session.ts'

/** A step of a run. Numbers select one of the existing objects (modulo their count), so that a shrunk run remains valid. */
export type Action =
  | { do: 'request'; user: number; by: 'nobody' | 'script' | 'navigation' }
  | { do: 'cookie'; user: number; which: number }
  | { do: 'use'; request: number; use: Use; name: Name }
  | { do: 'end'; request: number; how: 'html' | 'json' | 'broken' }
  | { do: 'track'; request: number }
  | { do: 'closeTracked'; socket: number }
  | { do: 'openPage'; user: number; page: number; newer: number }
  | { do: 'upgrade'; ticket: number; late: boolean }
  | { do: 'disconnect'; connection: number; how: 'goodbye' | 'broken' | 'reload' }
  | { do: 'lateClose'; socket: number }
  | { do: 'reopenPage'; page: number; newer: number }
  | { do: 'goodbye'; page: number; older: number }
  | { do: 'endSession'; session: number }
  | { do: 'mode'; of: Source; mode: Mode }
  | { do: 'close'; timeout: number }
  | { do: 'wait'; ms: number }
  | { do: 'waitUntilDue'; offset: number }
  | { do: 'burst'; actions: Action[] }

const index = fc.nat({ max: 11 })
const user = fc.nat({ max: USERS.length - 1 })
const page = fc.nat({ max: 1 })
const newer = fc.integer({ min: -1, max: 1 })

function action<T extends Action['do']>(
  name: T,
  rest: { [K in keyof Omit<Extract<Action, { do: T }>, 'do'>]: fc.Arbitrary<Extract<Action, { do: T }>[K]> },
): fc.Arbitrary<Action> {
  return fc.record({ do: fc.constant(name), ...rest }) as unknown as fc.Arbitrary<Action>
}

const use: fc.Arbitrary<Use> = fc.oneof(
  { weight: 8, arbitrary: fc.constant('set' as const) },
  { weight: 8, arbitrary: fc.constantFrom('bare', 'same', 'update', 'delete') },
  { weight: 6, arbitrary: fc.constantFrom('get', 'touch', 'has', 'id', 'establish') },
  { weight: 1, arbitrary: fc.constant('end' as const) },
)

const mode: fc.Arbitrary<Mode> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('returns', 'resolves') },
  { weight: 8, arbitrary: fc.constantFrom('throws', 'rejects', 'slow', 'hangs', 'late', 'sets', 'deletes') },
  { weight: 1, arbitrary: fc.constant('ends' as const) },
)

/** Actions that may be in a burst. */
export const simple = fc.oneof(
  {
    weight: 12,
    arbitrary: action('request', { user, by: fc.constantFrom('nobody', 'script', 'navigation') }),
  },
  { weight: 3, arbitrary: action('cookie', { user, which: index }) },
  { weight: 24, arbitrary: action('use', { request: index, use, name: fc.constantFrom(...NAMES) }) },
  {
    weight: 10,
    arbitrary: action('end', { request: index, how: fc.constantFrom('html', 'json', 'broken') }),
  },
  { weight: 2, arbitrary: action('track', { request: index }) },
  { weight: 2, arbitrary: action('closeTracked', { socket: index }) },
  { weight: 10, arbitrary: action('openPage', { user, page, newer }) },
  { weight: 6, arbitrary: action('reopenPage', { page: index, newer }) },
  { weight: 8, arbitrary: action('upgrade', { ticket: index, late: fc.boolean() }) },
  { weight: 2, arbitrary: action('lateClose', { socket: index }) },
  { weight: 5, arbitrary: action('goodbye', { page: index, older: newer }) },
  { weight: 2, arbitrary: action('endSession', { session: index }) },
)

export const timed = fc.oneof(
  { weight: 60, arbitrary: simple },
  // Not in a burst: socket events are always asynchronous.
  {
    weight: 6,
    arbitrary: action('disconnect', {
      connection: index,
      how: fc.constantFrom('goodbye', 'broken', 'reload'),
    }),
  },
  { weight: 8, arbitrary: action('burst', { actions: fc.array(simple, { minLength: 2, maxLength: 5 }) }) },
  {
    weight: 4,
    arbitrary: action('mode', {
      of: fc.constantFrom('load', 'unload', 'ended', 'deleteCallback'),
      mode,
    }),
  },
  { weight: 6, arbitrary: action('wait', { ms: fc.nat({ max: 4_000 }) }) },
  { weight: 2, arbitrary: action('wait', { ms: fc.nat({ max: 130_000 }) }) },
  { weight: 14, arbitrary: action('waitUntilDue', { offset: fc.constantFrom(0, -1, 1) }) },
)
