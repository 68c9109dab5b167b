/** A line of a benchmark's result: what was measured, and the figures under their headings. */
export type Row = { readonly name: string } & Readonly<Record<string, string>>

/** Prints the rows as a table. */
export function print(title: string, rows: readonly Row[]): void {
  const headings = [...new Set(rows.flatMap(row => Object.keys(row)))]
  const lines = [
    headings.map(heading => (heading === 'name' ? '' : heading)),
    ...rows.map(row => headings.map(heading => row[heading] ?? '')),
  ]
  const widths = headings.map((_, column) => Math.max(...lines.map(line => (line[column] as string).length)))
  console.log(`\n${title}\n`)
  for (const line of lines) {
    const [name = '', ...figures] = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
    )
    console.log(`  ${[name, ...figures].join('   ')}`)
  }
}

export function ms(duration: number): string {
  return `${duration.toFixed(duration < 10 ? 2 : 0)} ms`
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)} x`
}

/** The middle one: a busy machine disturbs some rounds, never the most of them. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
}
