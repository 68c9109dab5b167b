import type { Engine } from '../../lib/index.ts'

/** How often an engine is asked for a session from now on. */
export function countOpens(engine: Engine): { readonly opens: number } {
  const counted = { opens: 0 }
  const { open } = engine
  engine.open = (...asked) => {
    counted.opens++
    return open.apply(engine, asked)
  }
  return counted
}
