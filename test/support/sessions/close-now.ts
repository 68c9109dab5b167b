import type { GradioState } from '../../../lib/index.ts'
import type { FakeClock } from '../../../lib/testing/index.ts'

/** Closes an instance on a fake clock, without waiting for hooks that hang. */
export async function closeNow(gradio: GradioState, clock: Pick<FakeClock, 'advance'>): Promise<void> {
  const closed = gradio.close({ timeout: 0 })
  await clock.advance(1)
  await closed
}
