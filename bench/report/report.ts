// Puts the kept results into docs/BENCHMARKS.md, as tables, and draws the plots:
//   npm run bench:report

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Result } from '../harness/result.js'
import { SUITES } from '../harness/suites.js'
import { cells, HEADINGS } from '../harness/table.js'
import { growthPlot } from './growth-plot.js'
import { ratioPlot } from './ratio-plot.js'

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const DOCUMENT = fromHere('../../docs/BENCHMARKS.md')
const PLOTS = fromHere('../../docs/plots/')

const ALL = { ...SUITES, gradio: 'The same work, done by Gradio' }
const results = new Map<string, Result[]>()
for (const name of Object.keys(ALL)) {
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
const goals = [...results].filter(([name]) => name !== 'gradio').flatMap(([, rows]) => rows)
draw(
  'peers',
  ratioPlot(
    'gradio-state beside its peers in Node.js (shorter is better; orange: a goal that was missed)',
    goals.filter(({ goal, ratio }) => goal !== null && ratio !== null),
  ),
)
const gradio = results.get('gradio')
if (gradio !== undefined)
  draw(
    'gradio',
    ratioPlot('gradio-state beside Gradio (shorter is better; orange: a goal that was missed)', gradio),
  )
const growth = results.get('growth')
if (growth !== undefined) draw('growth', growthPlot(growth))

/** Between the two comments of that name. */
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
