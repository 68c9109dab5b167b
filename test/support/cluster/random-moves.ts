/** An entry enters the session, or leaves it. */
export interface Move {
  /** The time since the previous move, in ms. */
  readonly after: number
  /** The index of the process. */
  readonly process: number
  /** The index of the entry. */
  readonly entry: number
  readonly kind: 'request' | 'navigation' | 'page'
  /** How it leaves, and the response. Absent when it enters. */
  readonly leave?: 'text/html' | 'application/json'
}

/** How long a page may take to connect after its navigation, in ms. */
const PAGE_LOAD = 30_000

/**
 * What a user may do in a few minutes. Navigations don't overlap: with several, it is undefined which page belongs to
 * which, even on one process.
 */
export function randomMoves(seed: number, steps: number, processes: number): Move[] {
  const random = generator(seed)
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T
  const moves: Move[] = []
  const here: Move[] = []
  let now = 0
  let navigatingUntil = 0
  let entries = 0
  for (let step = 0; step < steps; step++) {
    const after = Math.ceil(random() * pick([300, 1500, 4000, 20_000]))
    now += after
    const process = Math.floor(random() * processes)
    if (random() < 0.5 || here.length === 0) {
      let kind = pick(['request', 'navigation', 'page'] as const)
      if (kind === 'navigation' && now < navigatingUntil) kind = 'request'
      if (kind === 'navigation') navigatingUntil = Number.POSITIVE_INFINITY
      if (kind === 'page' && navigatingUntil !== Number.POSITIVE_INFINITY) navigatingUntil = 0
      const move: Move = { after, process, entry: entries++, kind }
      here.push(move)
      moves.push(move)
    } else {
      const [move] = here.splice(Math.floor(random() * here.length), 1) as [Move]
      const leave = random() < 0.6 ? 'text/html' : 'application/json'
      if (move.kind === 'navigation') navigatingUntil = leave === 'text/html' ? now + PAGE_LOAD : 0
      moves.push({ ...move, after, leave })
    }
  }
  for (const move of here) moves.push({ ...move, after: 1, leave: 'application/json' })
  return moves
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
