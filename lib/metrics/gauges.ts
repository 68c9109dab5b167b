import type { Attributes, BatchObservableResult, Meter } from '@opentelemetry/api'

/** The part of the result of `stats()` that `metrics()` uses. */
export interface MeasuredStats {
  readonly sessions: number
  readonly open: number
  readonly ending: number
  readonly pages: number
  readonly values: number
  readonly files: number
  readonly fileBytes: number
}

/** Observes the result of `stats()`, once for each collection. @returns a function that stops this */
export function observeStats(stats: () => MeasuredStats, meter: Meter, attributes: Attributes): () => void {
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableUpDownCounter(name, { unit, description })
  const sessions = gauge('gradio_state.session.count', '{session}', 'Sessions, by state.')
  const pages = gauge('gradio_state.page.count', '{page}', 'Connected pages.')
  const values = gauge('gradio_state.value.count', '{value}', 'Values of sessions.')
  const files = gauge('gradio_state.file.count', '{file}', 'Saved files.')
  const bytes = gauge('gradio_state.cache.usage', 'By', 'Bytes that count towards maxCacheBytes.')
  const instruments = [sessions, pages, values, files, bytes]

  const observe = (result: BatchObservableResult) => {
    const now = stats()
    const byState = { open: now.open, closed: now.sessions - now.open, ending: now.ending }
    for (const [state, count] of Object.entries(byState))
      result.observe(sessions, count, { ...attributes, 'gradio_state.session.state': state })
    result.observe(pages, now.pages, attributes)
    result.observe(values, now.values, attributes)
    result.observe(files, now.files, attributes)
    result.observe(bytes, now.fileBytes, attributes)
  }
  meter.addBatchObservableCallback(observe, instruments)
  return () => meter.removeBatchObservableCallback(observe, instruments)
}
