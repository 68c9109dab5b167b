import { median, quartiles } from './statistics.js'

/** One result of a suite: the figure of gradio-state, and that of a baseline from the same run. */
export interface Result {
  readonly metric: string
  readonly unit: string
  readonly ours: number
  /** `null`, like the two fields below, if there is nothing to compare with. */
  readonly baseline: number | null
  readonly baselineName: string | null
  /** `ours` divided by `baseline`: the median of the rounds. */
  readonly ratio: number | null
  /** The quartiles of the rounds' ratios. */
  readonly spread: readonly [number, number] | null
  /** `null`, like `met`, if there is no goal. */
  readonly goal: string | null
  readonly met: boolean | null
}

/** A goal for a figure. */
export interface Goal {
  readonly text: string
  isMet(ours: number, ratio: number): boolean
}

/** At most a multiple of the baseline. */
export function ratioUpTo(limit: number): Goal {
  return { text: `at most ${limit} x`, isMet: (_ours, ratio) => ratio <= limit }
}

/** Less than the baseline. */
export const BELOW_BASELINE: Goal = { text: 'below the baseline', isMet: (_ours, ratio) => ratio < 1 }

/** At most a fixed amount, whatever the baseline is. */
export function upTo(limit: number, unit: string): Goal {
  return { text: `at most ${limit.toLocaleString('en')} ${unit}`, isMet: ours => ours <= limit }
}

export interface Comparison {
  readonly metric: string
  readonly unit: string
  /** A figure for each round. */
  readonly ours: readonly number[]
  /** With the figures of the same rounds. */
  readonly baseline?: { readonly name: string; readonly rounds: readonly number[] }
  readonly goal?: Goal
}

export function compare({ metric, unit, ours, baseline, goal }: Comparison): Result {
  const figure = median(ours)
  const ratios = baseline?.rounds.map((theirs, round) => (ours[round] as number) / theirs)
  const ratio = ratios === undefined ? null : median(ratios)
  return {
    metric,
    unit,
    ours: figure,
    baseline: baseline === undefined ? null : median(baseline.rounds),
    baselineName: baseline?.name ?? null,
    ratio,
    spread: ratios === undefined ? null : quartiles(ratios),
    goal: goal?.text ?? null,
    met: goal?.isMet(figure, ratio ?? Number.NaN) ?? null,
  }
}
