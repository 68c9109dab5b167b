import type { Limit } from './data.js'

/** @param max `Infinity` for no limit */
export function limit(label: string, option: string, unit: Limit['unit'], used: number, max: number): Limit {
  return { label, option, unit, used, max: Number.isFinite(max) ? max : null }
}
