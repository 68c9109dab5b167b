import type { Coordinator } from '../../../lib/sessions/coordinator.ts'

/** Counts the calls of a coordinator's `enter` from now on. */
export function countEnters(coordinator: Coordinator): { readonly enters: number } {
  const counted = { enters: 0 }
  const { enter } = coordinator
  coordinator.enter = ((...asked: Parameters<Coordinator['enter']>) => {
    counted.enters++
    return enter.apply(coordinator, asked)
  }) as Coordinator['enter']
  return counted
}
