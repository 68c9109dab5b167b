import type { Attributes, Meter } from '@opentelemetry/api'
import * as telemetry from '@opentelemetry/api'
import { unsupported } from '../errors.js'
import { known } from '../parse.js'
import { countEvents } from './counters.js'
import { type MeasuredStats, observeStats } from './gauges.js'

export type { MeasuredStats } from './gauges.js'

/** The options of `metrics()`. */
export interface MetricsOptions {
  /** @default the meter `gradio-state` of the global meter provider, which has to be registered before */
  meter?: Meter
  /** Attributes of all data points. Needed to tell several instances with the same meter apart. @default none */
  attributes?: Attributes
}

/** What `metrics()` uses of the instance that `gradioState()` returns. */
export interface MeasuredInstance {
  readonly id: string
  stats(): MeasuredStats
}

/**
 * Measures an instance with OpenTelemetry. Call it once for an instance, after the meter provider was registered and before the first
 * request: events are counted from then on. The instruments are listed in docs/operations.md.
 * @returns removes the listeners and callbacks; a second call does nothing
 * @throws GradioStateError `OPTION_INVALID`; `VERSION_UNSUPPORTED` if `@opentelemetry/api` is older than 1.3
 */
export function metrics(gradio: MeasuredInstance, options: MetricsOptions = {}): () => void {
  known('the options of metrics()', options, { meter: true, attributes: true })
  if (!('metrics' in telemetry)) {
    throw unsupported('@opentelemetry/api', 'version 1.3 or later', 'without metrics, as earlier versions')
  }
  const { meter = telemetry.metrics.getMeter('gradio-state'), attributes = {} } = options
  const stopCounting = countEvents(gradio.id, meter, attributes)
  const stopObserving = observeStats(() => gradio.stats(), meter, attributes)
  return () => {
    stopCounting()
    stopObserving()
  }
}
