import { memory } from '../../lib/sessions/memory-engine.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { describeEngineValues } from '../contract/engine-values.ts'
import { asyncValues } from '../support/async-values.ts'

for (const [name, wrap] of Object.entries({
  memory: (engine: ReturnType<typeof memory>) => engine,
  'memory, answering later': asyncValues,
})) {
  describeEngineValues(name, () => {
    const clock = fakeClock()
    return { engine: wrap(memory(clock)), clock, pass: ms => clock.advance(ms / 1000) }
  })
}
