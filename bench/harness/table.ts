import type { Result } from './result.js'

/** The columns of a table of results. */
export const HEADINGS = [
  '',
  'gradio-state',
  'alternative',
  'which one',
  'ratio',
  'quartiles of the ratio',
  'goal',
  'goal met',
]

export function cells({
  metric,
  unit,
  ours,
  baseline,
  baselineName,
  ratio,
  spread,
  goal,
  met,
}: Result): string[] {
  return [
    metric,
    figure(ours, unit),
    baseline === null ? '' : figure(baseline, unit),
    baselineName ?? '',
    ratio === null ? '' : times(ratio),
    spread === null ? '' : spread.map(times).join(' to '),
    goal ?? '',
    met === null ? '' : met ? 'yes' : 'no',
  ]
}

/** A table for terminals. */
export function table(results: readonly Result[]): string {
  const lines = [HEADINGS, ...results.map(cells)]
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map(line => (line[column] as string).length)))
  const isText = (column: number) => column === 0 || column === 3 || column >= 6
  return lines
    .map(line =>
      line
        .map((cell, column) =>
          isText(column) ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
        )
        .join('  ')
        .trimEnd(),
    )
    .map(line => `  ${line}`)
    .join('\n')
}

/** With three significant digits. */
export function figure(value: number, unit: string): string {
  const text = value !== 0 && Math.abs(value) < 100 ? Number(value.toPrecision(3)).toString() : round(value)
  return `${text} ${unit}`
}

function round(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** A ratio, with two decimals where it is near 1. */
export function times(ratio: number): string {
  return `${ratio >= 100 ? ratio.toFixed(0) : ratio >= 10 ? ratio.toFixed(1) : ratio >= 0.1 ? ratio.toFixed(2) : ratio.toPrecision(2)} x`
}
