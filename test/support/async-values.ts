import type { Engine } from '../../lib/index.ts'
import { asyncEngine } from './async-engine.ts'

/** As {@link asyncEngine}; the shared values are far away too. */
export function asyncValues(engine: Engine): Engine {
  const { values } = engine
  const later = async <T>(ask: () => T): Promise<Awaited<T>> => {
    await undefined
    const answer = await ask()
    await undefined
    return answer
  }
  return {
    ...asyncEngine(engine),
    values: {
      read: (...args) => later(() => values.read(...args)),
      write: (...args) => later(() => values.write(...args)),
      touch: (...args) => later(() => values.touch(...args)),
      delete: (...args) => later(() => values.delete(...args)),
    },
  }
}
