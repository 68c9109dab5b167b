import type { Result } from '../harness/result.js'
import { toSvg } from './chart.js'

/** A bar for each result: how many times the baseline's cost ours is. */
export function ratioPlot(title: string, results: readonly Result[]): string {
  // The first comes at the top.
  const rows = results.filter(({ ratio }) => ratio !== null && ratio > 0).toReversed()
  return toSvg(
    {
      title: { text: title, left: 'center', top: 8, textStyle: { fontSize: 15 } },
      grid: { left: 470, right: 70, top: 44, bottom: 40 },
      xAxis: {
        type: 'log',
        name: 'times the baseline (1: the same)',
        nameLocation: 'middle',
        nameGap: 26,
        axisLabel: { formatter: (value: number) => `${Number(value.toPrecision(1))}` },
      },
      yAxis: {
        type: 'category',
        data: rows.map(({ metric, baselineName }) => `${metric} (${baselineName})`),
        axisLabel: { fontSize: 11, width: 455, overflow: 'truncate' },
        axisTick: { show: false },
        axisLine: { show: false },
      },
      series: [
        {
          type: 'bar',
          data: rows.map(({ ratio, met }) => ({
            value: ratio as number,
            itemStyle: { color: met === false ? '#d97706' : '#2563eb' },
          })),
          label: {
            show: true,
            position: 'right',
            fontSize: 11,
            formatter: ({ value }) => `${Number(Number(value).toPrecision(3))} x`,
          },
          markLine: {
            symbol: 'none',
            silent: true,
            lineStyle: { color: '#111827', type: 'solid' },
            label: { show: false },
            data: [{ xAxis: 1 }],
          },
        },
      ],
    },
    1000,
    90 + rows.length * 24,
  )
}
