import type { Attributes, Meter } from '@opentelemetry/api'
import type { HookOutcome } from '../channel-messages.js'
import { Subscriptions } from '../subscriptions.js'
import type { DeleteReason, ErrorContext, HookName, Reason } from '../types.js'

// The names follow OpenTelemetry's semantic conventions, and similar metrics there: `jvm.class.loaded`, `jvm.class.unloaded` and
// `jvm.class.count`, `db.client.connection.timeouts`, `http.server.request.duration`.

/** Counts and times the messages that an instance publishes. @returns a function that stops this */
export function countEvents(instance: string, meter: Meter, attributes: Attributes): () => void {
  const counters = new Counters(meter, attributes)
  const channels = new Subscriptions(instance)

  // Scopes aren't counted as sessions, as in stats().
  const begun = counters.total('gradio_state.session.begun', '{session}', 'Sessions that have started.')
  channels.on('gradio-state:session:begin', ({ parent }) => {
    if (parent === undefined) begun()
  })

  const loaded = counters.total('gradio_state.session.loaded', '{session}', 'Loads of sessions.')
  channels.on('gradio-state:session:load', ({ parent }) => {
    if (parent === undefined) loaded()
  })

  const unloaded = counters.by(
    REASON,
    REASONS,
    'gradio_state.session.unloaded',
    '{session}',
    'Unloads of sessions.',
  )
  channels.on('gradio-state:session:unload', ({ parent, reason }) => {
    if (parent === undefined) unloaded(reason)
  })

  const ended = counters.by(
    REASON,
    REASONS,
    'gradio_state.session.ended',
    '{session}',
    'Sessions that have ended.',
  )
  channels.on('gradio-state:session:end', ({ parent, reason }) => {
    if (parent === undefined) ended(reason)
  })

  const deleted = counters.by(
    REASON,
    DELETE_REASONS,
    'gradio_state.value.deleted',
    '{value}',
    'Deleted values.',
  )
  channels.on('gradio-state:value:delete', ({ reason }) => deleted(reason))

  const opened = counters.total('gradio_state.page.opened', '{page}', 'Pages that have connected.')
  channels.on('gradio-state:page:open', () => opened())

  const closed = counters.total('gradio_state.page.closed', '{page}', 'Pages that have closed.')
  channels.on('gradio-state:page:close', () => closed())

  const saved = counters.total('gradio_state.file.saved', '{file}', 'Saved files.')
  channels.on('gradio-state:file:save', () => saved())

  const removed = counters.total('gradio_state.file.deleted', '{file}', 'Deleted files.')
  channels.on('gradio-state:file:delete', () => removed())

  const failed = counters.by(
    SOURCE,
    SOURCES,
    'gradio_state.errors',
    '{error}',
    'Errors of hooks, stores, files and Redis.',
  )
  channels.on('gradio-state:error', ({ source }) => failed(source))

  const timedOut = counters.by(
    SOURCE,
    HOOKS,
    'gradio_state.hook.timeouts',
    '{timeout}',
    'Hooks and callbacks that took too long.',
  )
  const durations = meter.createHistogram('gradio_state.hook.duration', {
    unit: 's',
    description: 'Duration of hooks and callbacks, up to their time limit.',
    advice: { explicitBucketBoundaries: BOUNDARIES },
  })
  channels.on('gradio-state:hook:run', ({ source, duration, outcome }) => {
    durations.record(duration, { ...attributes, [SOURCE]: source, ...ERROR_TYPES[outcome] })
    if (outcome === 'timeout') timedOut(source)
  })

  return () => channels.stop()
}

/**
 * Creates counters, which count from 0 for each value of their attribute: Prometheus detects no increase in a time series whose first
 * value is 1.
 */
class Counters {
  readonly #meter: Meter
  readonly #attributes: Attributes

  constructor(meter: Meter, attributes: Attributes) {
    this.#meter = meter
    this.#attributes = attributes
  }

  /** @returns a function that adds 1 */
  total(name: string, unit: string, description: string): () => void {
    const counter = this.#meter.createCounter(name, { unit, description })
    counter.add(0, this.#attributes)
    return () => counter.add(1, this.#attributes)
  }

  /** @returns a function that adds 1 for a value of the attribute */
  by<V extends string>(
    attribute: string,
    values: Readonly<Record<V, true>>,
    name: string,
    unit: string,
    description: string,
  ): (value: V) => void {
    const counter = this.#meter.createCounter(name, { unit, description })
    const add = (value: string, count: number) =>
      counter.add(count, { ...this.#attributes, [attribute]: value })
    for (const value of Object.keys(values)) add(value, 0)
    return value => add(value, 1)
  }
}

const REASON = 'gradio_state.reason'
/** A hook or callback, or a part of the library. */
const SOURCE = 'gradio_state.source'

// Mapped over the types, so that the compiler keeps the lists complete.
const REASONS: Readonly<Record<Reason, true>> = {
  disconnected: true,
  expired: true,
  destroyed: true,
  regenerated: true,
  evicted: true,
  ended: true,
  shutdown: true,
}

const DELETE_REASONS: Readonly<Record<DeleteReason, true>> = {
  ...REASONS,
  timeToLive: true,
  deleted: true,
  replaced: true,
}

const HOOKS: Readonly<Record<HookName, true>> = {
  load: true,
  unload: true,
  ended: true,
  deleteCallback: true,
  info: true,
}

const SOURCES: Readonly<Record<ErrorContext['source'], true>> = {
  ...HOOKS,
  cluster: true,
  files: true,
  store: true,
}

/** `_OTHER` is the convention for an error of unknown type. */
const ERROR_TYPES: Readonly<Record<HookOutcome, Attributes>> = {
  ok: {},
  error: { 'error.type': '_OTHER' },
  timeout: { 'error.type': 'timeout' },
}

/** The same as for `http.server.request.duration`, in seconds. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
