import type { Attributes, Meter } from '@opentelemetry/api'
import * as telemetry from '@opentelemetry/api'
import { unsupported } from '../errors.js'
import { known } from '../parse.js'
import { countEvents } from './counters.js'
import { type MeasuredStats, observeStats } from './gauges.js'

export type { MeasuredStats } from './gauges.js'

/** The options of `metrics()`. */
export interface MetricsOptions {
  /** @default the meter `gradio-state` of the global meter provider, which must already be registered */
  meter?: Meter
  /** Attributes of all data points. Needed to distinguish several instances that use the same meter. @default none */
  attributes?: Attributes
}

/** The part of the instance returned by `gradioState()` that `metrics()` uses. */
export interface MeasuredInstance {
  readonly id: string
  stats(): MeasuredStats
}

/**
 * Measures an instance with OpenTelemetry. Call it once for each instance, after registering the meter provider and before the first
 * request: events are counted from then on. The instruments are listed in docs/operations.md.
 * @returns a function that removes the listeners and callbacks; a second call does nothing
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
