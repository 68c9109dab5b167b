import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GradioState, HookEvent, LeaveEvent } from '../../lib/index.ts'
import { deferred, harness, RECONNECT } from '../support/sessions/harness.ts'

const unloadDelay = 2

/** Records the start and the end of each hook; each takes one turn of the event loop. */
function logHooks(gradio: GradioState, log: string[] = []) {
  for (const name of ['load', 'unload', 'ended'] as const) {
    gradio[name](async (event: HookEvent) => {
      const { reason } = event as Partial<LeaveEvent>
      log.push(`${name}${reason === undefined ? '' : ` ${reason}`}`)
      await new Promise(setImmediate)
      log.push(`${name} is over`)
    })
  }
  return log
}

describe('a hook', () => {
  for (const name of ['load', 'unload', 'ended'] as const) {
    it(`of ${name}() no longer runs after it was removed`, async t => {
      const { gradio, user } = harness(t)
      const log: string[] = []
      const remove = gradio[name](() => log.push('removed'))
      gradio[name](() => log.push('other'))
      await (await user('one').session()).end()
      assert.deepEqual(log.splice(0), ['removed', 'other'])
      assert.equal(remove(), undefined)
      await (await user('two').session()).end()
      assert.deepEqual(log, ['other'])
    })
  }

  it('that is removed a second time removes no other hook', async t => {
    const { gradio, user } = harness(t)
    let runs = 0
    const hook = () => runs++
    const remove = gradio.load(hook)
    remove()
    const removeAgain = gradio.load(hook)
    remove()
    await user('one').session()
    assert.equal(runs, 1)
    removeAgain()
    await user('two').session()
    assert.equal(runs, 1)
  })

  it('that removes itself runs once', async t => {
    const { gradio, user } = harness(t)
    let runs = 0
    const remove = gradio.load(() => {
      runs++
      remove()
    })
    await user('one').session()
    await user('two').session()
    assert.equal(runs, 1)
  })
})

describe('on() and off()', () => {
  it('accept only the event error, and name the method in the message', t => {
    const { gradio } = harness(t)
    for (const method of ['on', 'off'] as const) {
      const given = (event: unknown) => () => Reflect.apply(gradio[method], gradio, [event, () => {}])
      const message = (received: string, hint = '') => ({
        name: 'GradioStateError',
        code: 'OPTION_INVALID',
        message: `Expected the event of ${method}() to be 'error'${hint}, got ${received}.`,
      })
      assert.throws(given('errors'), message('"errors"'))
      assert.throws(given(undefined), message('undefined'))
      assert.throws(given('unload'), message('"unload"', '; hooks are added by unload(hook)'))
      assert.throws(() => Reflect.apply(gradio[method], gradio, ['error']), {
        code: 'OPTION_INVALID',
        message: `Expected the argument of ${method}() to be a function, got undefined.`,
      })
    }
  })

  it('return the instance; a listener that is added twice is called once', async t => {
    const { gradio, user, errors } = harness(t)
    const received: unknown[] = []
    const listener = (error: unknown) => received.push(error)
    assert.equal(gradio.on('error', listener).on('error', listener), gradio)
    const broken = new Error('broken')
    gradio.load(() => {
      throw broken
    })
    await user('one').session()
    assert.deepEqual(received.splice(0), [broken])
    assert.equal(gradio.off('error', listener).off('error', listener), gradio)
    await user('two').session()
    assert.deepEqual(received, [])
    assert.equal(errors.splice(0).length, 2)
  })
})

describe('the hooks of a session', () => {
  it('run in order and never overlap', async t => {
    const { gradio, clock, user } = harness(t)
    const log = logHooks(gradio)
    const connection = await user().connect()
    connection.close()
    await clock.advance(unloadDelay + RECONNECT)
    await user().request()
    await clock.advance('1h')
    assert.deepEqual(log, [
      'load',
      'load is over',
      'unload disconnected',
      'unload is over',
      'load',
      'load is over',
      'unload disconnected',
      'unload is over',
      'ended disconnected',
      'ended is over',
    ])
  })

  it('wait for each other even if the session ends at once', async t => {
    const { gradio, user } = harness(t)
    const log = logHooks(gradio)
    const session = await user().session()
    session.set('x', 1, { deleteCallback: () => log.push('deleted') })
    await session.end()
    assert.deepEqual(log, [
      'load',
      'load is over',
      'unload ended',
      'unload is over',
      'deleted',
      'ended ended',
      'ended is over',
    ])
  })

  it('see the values: unload and load the current ones, ended the final ones', async t => {
    const { gradio, clock, user } = harness(t)
    const state = gradio.state('state', { value: 'initial' })
    const seen: unknown[] = []
    for (const name of ['load', 'unload', 'ended'] as const) {
      gradio[name](({ session }: HookEvent) => {
        seen.push([name, session.get('x'), session.get(state)])
      })
    }
    const session = await user().session()
    session.set('x', 1)
    await clock.advance('2h')
    assert.deepEqual(seen, [
      ['load', undefined, undefined],
      ['unload', 1, undefined],
      ['ended', 1, undefined],
    ])
  })

  it('have keys that are unique to the event, and the same for all its hooks', async t => {
    const { gradio, clock, user } = harness(t)
    const keys: string[] = []
    for (const name of ['load', 'unload', 'ended'] as const) {
      gradio[name](({ key }: HookEvent) => keys.push(key))
      gradio[name](({ key }: HookEvent) => keys.push(key))
    }
    for (const name of ['one', 'two']) {
      await user(name).request(state => state.id)
      await clock.advance(unloadDelay)
      await user(name).request()
      await clock.advance('2h')
    }
    assert.equal(keys.length, 20)
    assert.equal(new Set(keys).size, 10)
  })

  it('of one event run concurrently, at most 16 at once', async t => {
    const { gradio, clock, user } = harness(t)
    let running = 0
    let most = 0
    for (let index = 0; index < 40; index++) {
      gradio.load(async () => {
        most = Math.max(most, ++running)
        await new Promise(setImmediate)
        running--
      })
    }
    await user().session()
    for (let turns = 0; turns < 10; turns++) await clock.advance(0)
    assert.equal(running, 0)
    assert.equal(most, 16)
  })

  it('of many sessions that end at the same time run for at most 256 at once', async t => {
    const { gradio, clock, user } = harness(t, { gracePeriod: 60 })
    const running: (() => void)[] = []
    let most = 0
    gradio.ended(async () => {
      const { promise, resolve } = deferred()
      running.push(resolve)
      most = Math.max(most, running.length)
      await promise
    })
    for (let round = 1; round <= 2; round++) {
      for (let index = 0; index < 600; index++) await user(`${index}`).session()
      await clock.advance(60)
      while (running.length > 0) {
        for (const resolve of running.splice(0)) resolve()
        await clock.advance(0)
        await clock.advance(0)
      }
      assert.equal(gradio.stats().ended.disconnected, 600 * round)
      assert.equal(gradio.stats().ending, 0)
    }
    assert.equal(most, 256)
  })
})

describe('a hook that fails', () => {
  for (const name of ['load', 'unload', 'ended'] as const) {
    it(`is reported and does not affect others: ${name}`, async t => {
      const { gradio, user, errors } = harness(t)
      const failures = [new Error('throws'), new Error('rejects')]
      const log: string[] = []
      gradio[name](() => {
        throw failures[0]
      })
      gradio[name](() => Promise.reject(failures[1]))
      gradio[name](() => log.push(`second ${name}`))
      logHooks(gradio, log)
      const session = await user().session()
      await session.end()
      assert.deepEqual(
        log.filter(line => !line.endsWith('over')),
        ['load', 'unload ended', 'ended ended'].toSpliced(
          ['load', 'unload', 'ended'].indexOf(name),
          0,
          `second ${name}`,
        ),
      )
      assert.deepEqual(
        errors.splice(0).map(({ error, context }) => [error, context]),
        failures.map(error => [error, { source: name, session: session.id }]),
      )
    })

    it(`is awaited until the time limit, and its signal aborts: ${name}`, async t => {
      const { gradio, clock, user, errors } = harness(t, { hookTimeout: 4 })
      let signal: AbortSignal | undefined
      gradio[name]((event: HookEvent) => {
        signal = event.signal
        return new Promise(() => {})
      })
      const session = await user().session()
      const ended = session.end()
      await clock.advance(3.9)
      assert.equal(signal?.aborted, false)
      await clock.advance(0.1)
      await ended
      assert.equal(signal?.aborted, true)
      const [{ error, context }] = errors.splice(0) as [(typeof errors)[0]]
      assert.match(`${error}`, new RegExp(`the ${name} hook for session ${session.id} to settle within 4 s`))
      assert.deepEqual(context, { source: name, session: session.id })
    })
  }

  it('has an aborted signal, even if it reads it after the time limit', async t => {
    const { gradio, clock, user, errors } = harness(t)
    let event: HookEvent | undefined
    gradio.load(given => {
      event = given
      return new Promise(() => {})
    })
    await user().session()
    await clock.advance(5)
    assert.equal(event?.signal.aborted, true)
    assert.equal(errors.splice(0)[0]?.error, event?.signal.reason)
  })

  it('after its time limit is reported a second time', async t => {
    const { gradio, clock, user, errors } = harness(t)
    const { promise, reject } = deferred()
    gradio.load(() => promise)
    await user().session()
    await clock.advance(5)
    const late = new Error('late')
    reject(late)
    await clock.advance(0)
    assert.deepEqual(
      errors.splice(0).map(({ error }) => (error as { code?: string }).code ?? error),
      ['HOOK_TIMEOUT', late],
    )
  })

  it('is written to the console if there is no listener', async t => {
    const lines = t.mock.method(console, 'error', () => {}).mock
    const { gradio, user, unlisten } = harness(t)
    unlisten()
    gradio.load(() => {
      throw new Error('broken')
    })
    const session = await user().session()
    session.set('x', 1, { deleteCallback: () => Promise.reject(new Error('broken too')) })
    await session.end()
    assert.deepEqual(
      lines.calls.map(call => call.arguments.map(String)),
      [
        [`gradio-state: the load hook for session ${session.id} failed:`, 'Error: broken'],
        [`gradio-state: deleteCallback of "x" for session ${session.id} failed:`, 'Error: broken too'],
      ],
    )
  })

  const failing: Record<string, () => unknown> = {
    throws: () => {
      throw new Error('listener')
    },
    rejects: async () => {
      throw new Error('listener')
    },
  }
  for (const [what, fail] of Object.entries(failing)) {
    it(`is emitted to every listener, although one ${what}`, async t => {
      const lines = t.mock.method(console, 'error', () => {}).mock
      const { gradio, user, errors } = harness(t)
      const received: unknown[] = []
      gradio.on('error', fail)
      gradio.on('error', error => received.push(error))
      const broken = new Error('broken')
      gradio.load(() => {
        throw broken
      })
      const session = await user().session()
      await session.end()
      assert.deepEqual(received, [broken])
      assert.equal(errors.splice(0)[0]?.error, broken)
      assert.match(String(lines.calls[0]?.arguments[0]), /error listener failed/)
    })
  }
})
