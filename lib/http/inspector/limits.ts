import type { Limit } from './data.js'

/** @param most `Infinity` for no limit */
export function limit(label: string, option: string, unit: Limit['unit'], used: number, most: number): Limit {
  return { label, option, unit, used, most: Number.isFinite(most) ? most : null }
}
