import fc from 'fast-check'

/** A step of a run. Numbers select one of the existing objects (modulo their count), so that a shrunk run remains valid. */
export type ScopeAction =
  | { do: 'request'; user: number }
  | { do: 'answer'; request: number }
  | { do: 'connect'; user: number }
  | { do: 'disconnect'; connection: number }
  | { do: 'use'; request: number; key: number; use: ScopeUse }
  | { do: 'useKnown'; session: number; key: number; use: ScopeUse }
  | { do: 'endSession'; session: number }
  | { do: 'mode'; of: Source; mode: Mode }
  | { do: 'wait'; ms: number }

export type Source = 'load' | 'unload' | 'ended' | 'deleteCallback'
export type Mode = 'returns' | 'resolves' | 'throws' | 'slow' | 'hangs' | 'uses' | 'ends' | 'endsParent'
export type ScopeUse = 'set' | 'get' | 'delete' | 'has' | 'id' | 'end' | 'setInSession'

export const SOURCES: Source[] = ['load', 'unload', 'ended', 'deleteCallback']
const MODES: Mode[] = ['returns', 'resolves', 'throws', 'slow', 'hangs', 'uses', 'ends', 'endsParent']
const USES: ScopeUse[] = ['set', 'get', 'delete', 'has', 'id', 'end', 'setInSession']

const nat = fc.nat({ max: 11 })
export const scopeAction: fc.Arbitrary<ScopeAction> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('request' as const), user: nat }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), request: nat }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const), user: nat }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('disconnect' as const), connection: nat }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('use' as const),
      request: nat,
      key: nat,
      use: fc.constantFrom(...USES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('useKnown' as const),
      session: nat,
      key: nat,
      use: fc.constantFrom(...USES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('endSession' as const), session: nat }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('mode' as const),
      of: fc.constantFrom(...SOURCES),
      mode: fc.constantFrom(...MODES),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 999, 2_000, 3_500, 30_000, 60_000),
    }),
  },
)
