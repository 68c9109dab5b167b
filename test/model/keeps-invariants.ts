import fc from 'fast-check'
import type { Place } from '../support/cluster/places.ts'
import { scopeAction } from './scope-actions.ts'
import { ScopeRun } from './scope-run.ts'

/** The property that no run breaks an invariant. @param counter counts the steps */
export function keepsInvariants(maxSteps: number, counter: { steps: number }, place?: () => Place) {
  return fc.asyncProperty(
    fc.array(scopeAction, { minLength: 1, maxLength: maxSteps, size: 'max' }),
    fc.constantFrom('leave' as const, 'close' as const),
    async (actions, how) => {
      const run = new ScopeRun(place?.())
      for (const each of actions) {
        counter.steps++
        await run.step(each)
      }
      await run.finish(how)
    },
  )
}
