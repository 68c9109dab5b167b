import { memory } from '../../lib/sessions/memory-engine.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { describeEngine } from '../contract/engine.ts'
import { asyncEngine } from '../support/async-engine.ts'

for (const [name, wrap] of Object.entries({
  memory: (engine: ReturnType<typeof memory>) => engine,
  'memory, answering later': asyncEngine,
})) {
  describeEngine(name, () => {
    const clock = fakeClock()
    return { engine: wrap(memory(clock)), clock, pass: ms => clock.advance(ms / 1000) }
  })
}
