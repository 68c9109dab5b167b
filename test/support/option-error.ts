import assert from 'node:assert/strict'
import { GradioStateError } from '../../lib/index.ts'

/** Checks an error: its class, its code, and that its message says what is wrong, what was expected and received. */
export function isAbout(what: string, shown = '', where = '', code = 'OPTION_INVALID') {
  return (error: unknown) => {
    assert.ok(error instanceof GradioStateError, `${error}`)
    assert.equal(error.code, code)
    assert.equal(error.name, 'GradioStateError')
    assert.match(error.message, /^Expected .+, got .+\./)
    for (const part of [what, shown, where])
      assert.ok(error.message.includes(part), `${part} in: ${error.message}`)
    return true
  }
}
