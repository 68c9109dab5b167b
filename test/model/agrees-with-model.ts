import fc from 'fast-check'
import type { Place } from '../support/cluster/places.ts'
import { type Action, simple, timed } from './actions.ts'
import { ModelRun } from './model-run.ts'
import type { Settings } from './session.ts'

class Command implements fc.AsyncCommand<ModelRun, ModelRun> {
  readonly #action: Action

  constructor(action: Action) {
    this.#action = action
  }

  check(): boolean {
    return true
  }

  async run(_model: ModelRun, run: ModelRun): Promise<void> {
    await run.step(this.#action)
  }

  toString(): string {
    return JSON.stringify(this.#action)
  }
}

const commands = (maxCommands: number) =>
  fc.commands([timed.map(action => new Command(action))], { maxCommands, size: 'max' })

const settings = (isAsync: boolean): fc.Arbitrary<Settings> =>
  fc.record({
    unloadDelay: fc.constantFrom(2_000, 0, 700),
    gracePeriod: fc.constantFrom(60_017, 400_019, 1_009, 0),
    maxSessions: fc.integer({ min: 2, max: 5 }),
    isAsync: fc.constant(isAsync),
  })

const ending = fc.record({
  close: fc.constantFrom(undefined, 0, 1_500, 25_000),
  after: fc.array(simple, { maxLength: 10 }),
  how: fc.constantFrom('leave' as const, 'close' as const),
})

export interface Counter {
  steps: number
}

/**
 * The property that the library behaves like the model.
 * @param place creates the cluster for each run. In a cluster, an instance is closed only when no user is left, because it would
 * hand over its sessions to other nodes.
 */
export function agreesWithModel(maxCommands: number, counter: Counter, place?: () => Place) {
  return fc.asyncProperty(
    settings(place !== undefined),
    commands(maxCommands),
    ending,
    async (settings, commands, { close, after, how }) => {
      const created = place?.()
      const run = new ModelRun(settings, created)
      try {
        // The first step waits until the cluster is connected.
        if (created !== undefined) await run.step({ do: 'wait', ms: 1 })
        await fc.asyncModelRun(() => ({ model: run, real: run }), commands)
        if (created !== undefined) {
          await run.finish('leave')
          return
        }
        if (close !== undefined) await run.step({ do: 'close', timeout: close })
        for (const action of after) await run.step(action)
        await run.finish(how)
      } finally {
        counter.steps += run.steps
      }
    },
  )
}
