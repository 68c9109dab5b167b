// Writes the recorded results into docs/BENCHMARKS.md as tables, and draws the charts:
//   npm run bench:report

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Result } from '../harness/result.js'
import { SUITES } from '../harness/suites.js'
import { cells, HEADINGS } from '../harness/table.js'
import { comparisonPlot } from './comparison-plot.js'
import { growthPlot } from './growth-plot.js'
import { besideGradio, overview } from './overview.js'

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const DOCUMENT = fromHere('../../docs/BENCHMARKS.md')
const PLOTS = fromHere('../../docs/plots/')

const results = new Map<string, Result[]>()
for (const name of [...Object.keys(SUITES), 'gradio']) {
  const file = fromHere(`../results/${name}.json`)
  if (existsSync(file)) results.set(name, JSON.parse(readFileSync(file, 'utf8'))[name])
}
const machine = JSON.parse(readFileSync(fromHere('../results/machine.json'), 'utf8')) as Record<
  string,
  string
>

let document = readFileSync(DOCUMENT, 'utf8')
for (const [name, rows] of results) fill(name, markdown(rows))
fill(
  'machine',
  `${machine.cores} cores (${machine.cpu}), ${machine.memory}, ${machine.system}, Node.js ${machine.node}, ${machine.date}.`,
)
writeFileSync(DOCUMENT, document)

mkdirSync(PLOTS, { recursive: true })
draw('overview', comparisonPlot('gradio-state and what you would use instead', overview(results)))
draw('gradio', comparisonPlot('gradio-state and Gradio', besideGradio(results)))
draw('growth', growthPlot(results.get('growth') ?? []))

/** Replaces the text between the two comments with that name. */
function fill(name: string, text: string): void {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [before, rest] = document.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`Expected ${begin} and ${end} in docs/BENCHMARKS.md`)
  document = `${before}${begin}\n${text}\n${end}${after}`
}

function draw(name: string, svg: string): void {
  writeFileSync(`${PLOTS}${name}.svg`, `${svg}\n`)
}

function markdown(rows: readonly Result[]): string {
  const line = (texts: readonly string[]) => `| ${texts.join(' | ')} |`
  const used = (_text: string, column: number) => rows.some(row => cells(row)[column] !== '')
  return [
    line(HEADINGS.filter(used)),
    line(HEADINGS.filter(used).map(() => '---')),
    ...rows.map(row => line(cells(row).filter(used))),
  ].join('\n')
}
