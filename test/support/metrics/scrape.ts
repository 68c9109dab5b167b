import type { TestContext } from 'node:test'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { serve } from '../http/express.ts'

/** The samples of one scrape. */
export interface Scraped {
  /** The names of all metrics. */
  readonly names: ReadonlySet<string>
  /** The sum of the samples with that name and these labels; `undefined` if there are none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
}

/** A Prometheus exporter that is scraped over HTTP while a test runs, and a meter that it exports. */
export async function prometheus(t: TestContext) {
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [exporter] })
  t.after(() => provider.shutdown())
  const { origin } = await serve(t, (req, res) => exporter.getMetricsRequestHandler(req, res))
  return {
    meter: provider.getMeter('test'),
    async scrape(): Promise<Scraped> {
      const response = await fetch(`${origin}/metrics`)
      return parse(await response.text())
    },
  }
}

/** Parses the text format of Prometheus. */
function parse(text: string): Scraped {
  const samples = text
    .split('\n')
    .map(line => /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line))
    .flatMap(found => (found === null ? [] : [found]))
    .map(([, name = '', labels = '', value]) => ({
      name,
      labels: new Map([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
      value: Number(value),
    }))
  return {
    names: new Set(samples.map(({ name }) => name)),
    value(name, labels = {}) {
      const found = samples.filter(
        sample =>
          sample.name === name &&
          Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value),
      )
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0)
    },
  }
}
