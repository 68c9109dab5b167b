import type { Result } from '../harness/result.js'
import { figure, times } from '../harness/table.js'
import { toSvg } from './chart.js'

/** One bar: what is compared, in the reader's words, and the result. */
export interface Bar {
  readonly label: string
  readonly result: Result
}

const COLOURS = { less: '#2563eb', more: '#d97706' }

/** Draws one bar for each result: the figure of gradio-state as a multiple of the alternative's. */
export function comparisonPlot(title: string, bars: readonly Bar[]): string {
  // The first bar is drawn at the top.
  const rows = bars.toReversed()
  const ratios = rows.map(({ result }) => result.ratio ?? 0)
  return toSvg(
    {
      title: { text: title, left: 'center', top: 8, textStyle: { fontSize: 15 } },
      grid: { left: 430, right: 80, top: 44, bottom: 50 },
      xAxis: {
        type: 'value',
        min: 0,
        max: Math.ceil(Math.max(2, ...ratios)),
        name: 'gradio-state as a multiple of the alternative (shorter is better)',
        nameLocation: 'middle',
        nameGap: 28,
        axisLabel: { formatter: (value: number) => `${value} x` },
      },
      yAxis: {
        type: 'category',
        data: rows.map(({ label, result }) => `{what|${label}}\n{figures|${figures(result)}}`),
        axisLabel: {
          rich: {
            what: { fontSize: 12, color: '#111827', align: 'right', lineHeight: 16 },
            figures: { fontSize: 11, color: '#6b7280', align: 'right', lineHeight: 15 },
          },
        },
        axisTick: { show: false },
        axisLine: { show: false },
      },
      series: [
        {
          type: 'bar',
          barWidth: 18,
          data: ratios.map(value => ({
            value,
            itemStyle: { color: value <= 1 ? COLOURS.less : COLOURS.more },
          })),
          label: {
            show: true,
            position: 'right',
            fontSize: 12,
            formatter: ({ value }) => times(Number(value)),
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
    100 + rows.length * 44,
  )
}

function figures({ ours, baseline, baselineName, unit }: Result): string {
  return `${baselineName}: ${figure(baseline ?? 0, unit)}, gradio-state: ${figure(ours, unit)}`
}
