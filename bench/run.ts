// Runs the benchmarks that are named, or all of them:
//   npm run bench -- timers expiry
//   COUNT=100000 npm run bench -- expiry
// Each compares with a baseline in the same run; only the ratios mean something on another machine.

import type { Row } from './table.js'
import { print } from './table.js'

const suites: Record<string, () => Promise<{ title: string; run(): Promise<Row[]> }>> = {
  timers: () => import('./timers.js'),
  request: () => import('./request.js'),
  expiry: () => import('./expiry.js'),
  upload: () => import('./upload.js'),
  redis: () => import('./redis.js'),
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(suites)
for (const name of names) {
  const load = suites[name]
  if (load === undefined) {
    console.error(`Expected one of ${Object.keys(suites).join(', ')}, got ${name}`)
    process.exit(1)
  }
  const { title, run } = await load()
  print(`${name}: ${title}`, await run())
}
