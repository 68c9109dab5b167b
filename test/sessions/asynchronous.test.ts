import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import express from 'express'
import type { Engine, GradioStateOptions } from '../../lib/index.ts'
import { memory } from '../../lib/sessions/memory-engine.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { asyncEngine } from '../support/async-engine.ts'
import { site, until } from '../support/express.ts'
import { harness } from '../support/harness.ts'

// What differs where the engine answers with promises, as a shared one does.

function far(
  t: TestContext,
  options: GradioStateOptions = {},
  change: (engine: Engine) => Partial<Engine> = () => ({}),
) {
  const clock = fakeClock()
  const engine = asyncEngine(memory(clock))
  const made = harness(t, { engine: { ...engine, ...change(engine) }, ...options }, clock)
  const log: string[] = []
  for (const name of ['load', 'unload', 'ended'] as const) made.gradio[name](() => log.push(name))
  /** Lets what goes to and fro come to rest. */
  const rest = async () => {
    for (let turns = 0; turns < 20; turns++) await made.clock.advance(0)
  }
  const establish = async (name?: string) => {
    const request = await made.user(name).begin()
    await request.state.establish()
    return request
  }
  return { ...made, engine, log, rest, establish }
}

describe('the first use', () => {
  it('without establish() throws ESTABLISH_FIRST, and holds nothing', async t => {
    const { user, rest, gradio, clock } = far(t)
    const { state, end } = await user().begin()
    assert.throws(() => state.set('x', 1), {
      code: 'ESTABLISH_FIRST',
      message: /await req\.gradioState\.establish\(\)/,
    })
    await rest()
    end()
    assert.equal(gradio.stats().open, 0)
    await clock.advance('1h')
    await rest()
    assert.equal(gradio.stats().sessions, 0)
  })

  it('after establish() is as ever', async t => {
    const { establish, user, gradio, clock, log, rest } = far(t)
    const { state, end } = await establish()
    state.set('x', 1)
    assert.equal(gradio.stats().open, 1)
    await clock.advance('2h')
    end()
    await clock.advance('59m')
    const id = await user().request(state => {
      assert.equal(state.get('x'), 1)
      return state.id
    })
    assert.equal(id, gradio.sessions()[0]?.id)
    await clock.advance('2h')
    await rest()
    assert.deepEqual(log, ['load', 'unload', 'load', 'unload', 'ended'])
    assert.deepEqual([gradio.stats().sessions, gradio.stats().ending], [0, 0])
  })

  it('establish() twice, also at once, is one visit', async t => {
    const { user, gradio, rest, clock } = far(t)
    const { state, end } = await user().begin()
    await Promise.all([state.establish(), state.establish()])
    await state.establish()
    end()
    await rest()
    assert.deepEqual([gradio.stats().sessions, gradio.stats().open], [1, 0])
    await clock.advance('2h')
    await rest()
    assert.equal(gradio.stats().sessions, 0)
  })

  it('of one user in many requests at once is one session', async t => {
    const { establish, gradio, log } = far(t)
    const requests = await Promise.all(Array.from({ length: 10 }, () => establish()))
    assert.equal(new Set(requests.map(({ state }) => state.id)).size, 1)
    assert.equal(gradio.stats().sessions, 1)
    assert.deepEqual(log, ['load'])
    for (const { end } of requests) end()
  })
})

describe('pages', () => {
  it('open, close and return', async t => {
    const clock = fakeClock()
    const log: string[] = []
    const { gradio, visitor } = await site(t, express, {
      session: false,
      options: { clock, engine: asyncEngine(memory(clock)) },
      routes(app, gradio) {
        app.get('/', async (req, res) => {
          await req.gradioState.establish()
          res.send(req.gradioState.id)
        })
        for (const name of ['load', 'unload', 'ended'] as const) gradio[name](() => log.push(name))
      },
    })
    const user = visitor()
    const id = await (await user.fetch('/')).text()
    const page = await user.openPage()
    assert.equal(gradio.session(id)?.pages, 1)
    assert.equal(await page.close(), 204)
    await until(() => gradio.stats().open === 0)
    await clock.advance('1m')
    await until(() => log.length === 2)
    const next = await user.openPage()
    assert.deepEqual(log, ['load', 'unload', 'load'])
    assert.equal(gradio.stats().sessions, 1)
    await gradio.endSession(id)
    assert.deepEqual(await next.closed, { code: 4000, reason: 'ended' })
    assert.deepEqual(log, ['load', 'unload', 'load', 'unload', 'ended'])
  })
})

describe('a session that ends while a request asks for it', () => {
  it('leaves no shadow behind, and the request begins a new life', async t => {
    const { establish, user, gradio, rest, clock } = far(t)
    const { state, end } = await establish()
    const { id } = state
    end()
    await rest()
    const arriving = user().begin()
    const ended = gradio.endSession(id)
    const next = await arriving
    await ended
    await next.state.establish()
    assert.notEqual(next.state.id, id)
    next.state.set('x', 1)
    next.end()
    await rest()
    assert.equal(gradio.stats().sessions, 1)
    await clock.advance('2h')
    await rest()
    assert.equal(gradio.stats().sessions, 0)
  })

  it('not by eviction: who is on the way to a session keeps it', async t => {
    const { establish, user, gradio, rest, clock } = far(t, { maxSessions: 1 })
    const first = await establish('one')
    const { id } = first.state
    first.end()
    await rest()
    const other = await user('two').begin()
    const arriving = user('one').begin()
    await assert.rejects(other.state.establish(), { code: 'TOO_MANY_SESSIONS' })
    const { state, end } = await arriving
    assert.equal(state.id, id)
    end()
    other.end()
    await clock.advance('2h')
    await rest()
    assert.equal(gradio.stats().sessions, 0)
  })
})

describe('maxSessions', () => {
  it('holds for those that arrive at once', async t => {
    const { establish, gradio, rest } = far(t, { maxSessions: 3 })
    const arriving = Array.from({ length: 10 }, (_, index) => establish(`${index}`))
    const settled = await Promise.allSettled(arriving)
    await rest()
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 3)
    assert.equal(gradio.stats().sessions, 3)
  })
})

describe('an engine that fails', () => {
  it('to open is told to the request', async t => {
    const failure = new Error('away')
    let isAway = true
    const { establish, gradio } = far(t, {}, engine => ({
      open: (...args) => (isAway ? Promise.reject(failure) : engine.open(...args)),
    }))
    await assert.rejects(establish(), failure)
    isAway = false
    await establish()
    assert.equal(gradio.stats().sessions, 1)
  })

  for (const [how, fail] of Object.entries({
    rejects: () => Promise.reject(new Error('away')),
    throws: () => {
      throw new Error('away')
    },
  } as Record<string, () => Promise<never>>)) {
    it(`to claim (it ${how}) is reported, asked again later, not without a pause, and does its work then`, async t => {
      let isAway = true
      let asked = 0
      const { establish, gradio, clock, rest, errors, log } = far(t, {}, engine => ({
        claim: limit => {
          asked++
          return isAway ? fail() : engine.claim(limit)
        },
      }))
      const { end } = await establish()
      end()
      await rest()
      await clock.advance(2)
      await rest()
      assert.equal(asked, 1)
      await clock.advance(10)
      assert.ok(asked > 1 && asked <= 12, `${asked} times`)
      assert.ok(errors.every(({ context }) => context.source === 'engine'))
      assert.equal(errors.splice(0).length, asked)
      isAway = false
      await clock.advance(10)
      await rest()
      assert.deepEqual(log, ['load', 'unload'])
      assert.equal(gradio.stats().loaded, 0)
    })
  }

  it('to release, to settle or to end is reported', async t => {
    const failure = () => Promise.reject(new Error('away'))
    const { establish, clock, rest, errors, gradio } = far(t, {}, () => ({ settle: failure, end: failure }))
    const { state, end } = await establish()
    const { id } = state
    end()
    await rest()
    await clock.advance(2)
    await rest()
    assert.deepEqual(errors.splice(0)[0]?.context, { source: 'engine', session: id })
    await gradio.endSession(id)
    assert.deepEqual(errors.splice(0)[0]?.context, { source: 'engine', session: id })
  })
})

it('a claim that is on its way is not asked for again', async t => {
  let asked = 0
  let answer: (() => void) | undefined
  const { establish, clock, rest, log } = far(t, {}, engine => ({
    claim: async limit => {
      asked++
      await new Promise<void>(resolve => {
        answer = resolve
      })
      return engine.claim(limit)
    },
  }))
  const { end } = await establish()
  end()
  await rest()
  await clock.advance(2)
  await rest()
  assert.equal(asked, 1)
  answer?.()
  await rest()
  assert.deepEqual(log, ['load', 'unload'])
})

it('who arrives after an unload was claimed, but before the claim is heard of, is loaded after it', async t => {
  let isHeld = true
  let answer: (() => void) | undefined
  const { establish, user, gradio, clock, rest, log } = far(t, {}, engine => ({
    claim: async limit => {
      const claims = await engine.claim(limit)
      if (isHeld && claims.length > 0) {
        await new Promise<void>(resolve => {
          answer = resolve
        })
      }
      return claims
    },
  }))
  const { end } = await establish()
  end()
  await rest()
  await clock.advance(2)
  await rest()
  const connecting = user().connect()
  await rest()
  isHeld = false
  answer?.()
  await rest()
  await clock.advance(5)
  await rest()
  await connecting
  assert.deepEqual(log, ['load', 'unload', 'load'])
  assert.equal(gradio.stats().loaded, 1)
})
