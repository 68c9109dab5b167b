import type { Result } from '../harness/result.js'
import type { Bar } from './comparison-plot.js'

/** A bar of the overview, and the result that it shows: the suite, the metric, and the alternative if there are several. */
interface Choice {
  readonly label: string
  readonly suite: string
  readonly metric: string
  readonly alternative?: string
}

/** What a reader would use instead of gradio-state. At most ten. */
const IN_NODE: readonly Choice[] = [
  {
    label: 'CPU time of a request that uses its session',
    suite: 'request',
    metric: 'CPU per request, one get and one set',
  },
  {
    label: 'Memory of a session with one value',
    suite: 'memory',
    metric: 'memory of an idle session with one value, of 1,000,000',
    alternative: 'lru-cache, ttlAutopurge',
  },
  {
    label: 'A million values expire: time until the last callback',
    suite: 'expiry',
    metric: 'until the last of 1,000,000 callbacks',
    alternative: 'lru-cache, ttlAutopurge',
  },
  {
    label: 'A million values expire: longest block of the event loop',
    suite: 'expiry',
    metric: 'the longest',
    alternative: 'lru-cache, ttlAutopurge',
  },
  { label: 'Upload of 1 GB', suite: 'upload', metric: '1 GB in one file: wall time' },
  { label: '2,000 uploads of 100 kB', suite: 'upload', metric: '2,000 files of 100 kB: wall time' },
  {
    label: 'Deleting 50,000 old files among 100,000',
    suite: 'sweep',
    metric: '50,000 of 100,000 files: deleted within',
  },
  {
    label: 'Memory of an open page',
    suite: 'heartbeat',
    metric: '10,000 open pages: memory of each',
    alternative: 'better-sse',
  },
  {
    label: '10,000 pages close: delay of the last unload hook',
    suite: 'storm',
    metric: '10,000 pages that say goodbye: the last hook, after it was due',
  },
  {
    label: 'In a cluster: CPU time of Node.js for a session',
    suite: 'redis',
    metric: 'a session of one request: CPU of Node',
  },
]

const BESIDE_GRADIO: readonly Choice[] = [
  {
    label: 'Memory of a session with one value',
    suite: 'gradio',
    metric: 'memory: heap per idle session with one value, of 10,000',
  },
  {
    label: 'CPU time of 100,000 idle sessions in 30 s',
    suite: 'gradio',
    metric: 'idle: CPU over 30 s with 100,000 idle sessions',
  },
  { label: 'Upload of 1 GB', suite: 'gradio', metric: 'upload: 1 GB in one file' },
  {
    label: '2,000 uploads of 100 kB, 8 in parallel',
    suite: 'gradio',
    metric: 'upload: 2,000 files of 100 kB, 8 in parallel',
  },
  { label: 'Memory of an open page', suite: 'gradio', metric: 'heartbeat: rss per open page, of 1,000' },
  {
    label: 'CPU time of an open page in 30 s',
    suite: 'gradio',
    metric: 'heartbeat: CPU per open page over 30 s, of 1,000',
  },
  {
    label: '1,000 pages close: time until the last unload hook',
    suite: 'gradio',
    metric: 'storm: until the last unload hook of 1,000 pages, without a delay',
  },
  {
    label: '1,000 pages close: p99 of other requests meanwhile',
    suite: 'gradio',
    metric: 'storm: p99 of a request every 10 ms',
  },
  {
    label: 'Deleting 20,000 old files among 40,000',
    suite: 'gradio',
    metric: 'sweep: 20,000 aged files among 40,000',
  },
]

type Results = ReadonlyMap<string, readonly Result[]>

export function overview(results: Results): Bar[] {
  return barsOf(IN_NODE, results)
}

export function besideGradio(results: Results): Bar[] {
  return barsOf(BESIDE_GRADIO, results)
}

/** A result that has not been recorded, or has been renamed, is left out with a warning. */
function barsOf(choices: readonly Choice[], results: Results): Bar[] {
  return choices.flatMap(({ label, suite, metric, alternative }) => {
    const result = results
      .get(suite)
      ?.find(row => row.metric === metric && (alternative ?? row.baselineName) === row.baselineName)
    if (result !== undefined && result.ratio !== null) return [{ label, result }]
    console.warn(
      `No result of the suite ${suite} for the bar "${label}" (${metric}, ${alternative ?? 'any'})`,
    )
    return []
  })
}
