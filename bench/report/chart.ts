import { type EChartsOption, init } from 'echarts'

/** Renders a chart as an SVG image. */
export function toSvg(option: EChartsOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  // Readable on light and dark pages.
  chart.setOption({ animation: false, backgroundColor: '#ffffff', ...option })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}
