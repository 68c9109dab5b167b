import { type EChartsOption, init } from 'echarts'

/** Draws a chart as the text of an SVG image. */
export function toSvg(option: EChartsOption, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  // Shown on light and dark pages alike.
  chart.setOption({ animation: false, backgroundColor: '#ffffff', ...option })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}
