import type { TestContext } from 'node:test'

/** The codes of the process's warnings while a test runs. Node.js emits them on the next tick. */
export function warningsIn(t: TestContext): string[] {
  const codes: string[] = []
  const listen = (warning: Error & { code?: string }) => codes.push(warning.code ?? warning.name)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return codes
}
