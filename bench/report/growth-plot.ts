import type { Result } from '../harness/result.js'
import { toSvg } from './chart.js'

interface Line {
  readonly name: string
  readonly points: [count: number, cost: number][]
}

/**
 * Draws the costs of the suite `growth` against the number of sessions, on two logarithmic axes. A cost that is proportional to
 * the number has the slope 1, and one that doesn't depend on it has the slope 0.
 */
export function growthPlot(results: readonly Result[]): string {
  const lines = new Map<string, Line>()
  for (const { metric, unit, ours } of results) {
    const [, cost, count] = /^(.*), (\d+) sessions$/.exec(metric) ?? []
    if (cost === undefined || !(ours > 0)) continue
    const line = lines.get(cost) ?? { name: `${cost} (${unit})`, points: [] }
    line.points.push([Number(count), ours])
    lines.set(cost, line)
  }
  return toSvg(
    {
      title: {
        text: 'What grows with the number of sessions',
        left: 'center',
        top: 8,
        textStyle: { fontSize: 15 },
      },
      legend: { orient: 'vertical', right: 10, top: 'middle', textStyle: { fontSize: 12 } },
      grid: { left: 70, right: 430, top: 50, bottom: 50 },
      xAxis: { type: 'log', name: 'sessions', nameLocation: 'middle', nameGap: 28 },
      yAxis: { type: 'log', axisLabel: { formatter: (value: number) => value.toLocaleString('en') } },
      series: [...lines.values()].map(({ name, points }) => ({
        type: 'line' as const,
        name: `${name}, slope ${slope(points).toFixed(2)}`,
        data: points,
        symbolSize: 7,
      })),
    },
    1000,
    440,
  )
}

/** The slope of the line through the logarithms of the points, by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const)
  const mean = (which: 0 | 1) => logs.reduce((sum, point) => sum + point[which], 0) / logs.length
  const [meanX, meanY] = [mean(0), mean(1)]
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  const variance = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return covariance / variance
}
