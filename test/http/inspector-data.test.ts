import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import express from 'express'
import type { Order } from '../../lib/http/inspector/data.ts'
import { gradioState } from '../../lib/index.ts'
import { fakeClock } from '../../lib/testing/index.ts'
import { idle, until } from '../support/http/express.ts'
import { beginSessions, identifyStub, inspected, snapshot } from '../support/inspector/inspected.ts'
import { closeNow } from '../support/sessions/close-now.ts'

describe('the list of sessions', () => {
  it('shows the state of each', async t => {
    const { operator, user, gradio } = await inspected(t, express)
    const admitted = await operator()
    const { user: present, id: open } = await user()
    const page = await present.openPage()
    const { id: closed } = await user()
    await until(() => gradio.stats().open === 1)
    const { list, counts } = await snapshot(admitted)
    assert.deepEqual(counts, { open: 1, waiting: 1, ending: 0, pages: 1, files: 0 })
    const states = Object.fromEntries(list.rows.map(({ id, status, pages }) => [id, [status, pages]]))
    assert.deepEqual(states, { [open]: ['open', 1], [closed]: ['waiting', 0] })
    assert.deepEqual(
      (await snapshot(admitted, 'status=open')).list.rows.map(({ id }) => id),
      [open],
    )
    await page.close()
  })

  it('is searched on the server, by id and by info, in any case', async t => {
    const { operator, user } = await inspected(t, express)
    const [anna, bob] = [await user('Anna <anna@app.test>'), await user('Bob')]
    const admitted = await operator()
    const found = async (text: string) => {
      const { list } = await snapshot(admitted, new URLSearchParams({ text }).toString())
      assert.equal(list.matches, list.rows.length)
      return list.rows.map(({ id }) => id)
    }
    assert.deepEqual(await found('ANNA@'), [anna.id])
    assert.deepEqual(await found(` ${bob.id.slice(9, 23)} `), [bob.id])
    assert.deepEqual(await found('nobody'), [])
    assert.equal((await found('')).length, 2)
  })

  it('is paged and ordered on the server', async t => {
    const site = await inspected(t, express, { options: identifyStub })
    const admitted = await site.operator()
    await beginSessions(site.gradio, 120, async state => {
      state.set('name', 'value')
      await site.clock.advance(0.001)
    })
    const ids = site.gradio.sessions().map(({ id }) => id)
    const all: string[] = []
    for (const page of [0, 1, 2]) {
      const { list } = await snapshot(admitted, `page=${page}&order=oldest`)
      assert.deepEqual([list.matches, list.offset, list.rows.length], [120, page * 50, page < 2 ? 50 : 20])
      all.push(...list.rows.map(({ id }) => id))
    }
    assert.deepEqual(all, ids)
    const [newest] = (await snapshot(admitted, 'order=newest')).list.rows
    assert.equal(newest?.id, ids.at(-1))
    assert.deepEqual((await snapshot(admitted, 'page=7')).list.rows, [])
    assert.equal((await snapshot(admitted, 'page=-1&order=none&status=none')).list.offset, 0)
  })

  it('can be ordered by what is due next, and by the bytes of files', async t => {
    const { operator, user, clock, gradio } = await inspected(t, express, {
      routes(app) {
        app.post('/file', async (req, res) => {
          res.json(await req.gradioState.saveFile('x'.repeat(10_000), { name: 'a file' }))
        })
      },
    })
    const early = await user()
    await clock.advance(10)
    const late = await user()
    await (await late.user.fetch('/file', { method: 'POST' })).text()
    await idle(gradio)
    await clock.advance(5)
    const admitted = await operator()
    const first = async (order: Order) => (await snapshot(admitted, `order=${order}`)).list.rows[0]
    assert.equal((await first('due'))?.id, early.id)
    const largest = await first('bytes')
    assert.deepEqual([largest?.id, largest?.files, largest?.bytes], [late.id, 1, 10_000])
  })

  it('leaves the event loop free while it reads 10,000 sessions', async t => {
    const site = await inspected(t, express, { options: identifyStub })
    const admitted = await site.operator()
    await beginSessions(site.gradio, 10_000)
    const reading = snapshot(admitted, 'text=user-9999&order=due')
    let turns = 0
    let isOver = false
    void reading.then(() => {
      isOver = true
    })
    while (!isOver) {
      await new Promise(resolve => setImmediate(resolve))
      turns++
    }
    assert.ok(turns >= 40, `${turns} turns`)
    const { list, counts, limits } = await reading
    assert.deepEqual([list.matches, counts.waiting], [1, 10_000])
    assert.deepEqual([limits[0]?.used, limits[0]?.max], [10_000, 10_000])
  })
})

describe('one session', () => {
  it('shows its values with their time left, and never their content', async t => {
    const { operator, user, clock } = await inspected(t, express, {
      routes(app, gradio) {
        const shared = gradio.sharedState<string>('shared', { timeToLive: '1h' })
        app.post('/values', async (req, res) => {
          req.gradioState.set('timed', 'content 1', { timeToLive: '90s' })
          req.gradioState.set('lasting', 'content 2')
          await shared.set(req.gradioState, 'content 3')
          res.json({})
        })
      },
    })
    const { user: present, id } = await user()
    await (await present.fetch('/values', { method: 'POST' })).text()
    await clock.advance(30)
    const shot = await snapshot(await operator(), `session=${id}`)
    assert.deepEqual(shot.details?.values, [
      { name: 'timed', in: 60_000 },
      { name: 'lasting', in: null },
      { name: 'shared', in: 3_570_000 },
    ])
    assert.equal(shot.details?.description, null)
    assert.ok(!JSON.stringify(shot).includes('content'))
    assert.deepEqual(
      shot.due.map(({ what, name, in: ms }) => [what, name, ms]),
      [
        ['value', 'timed', 60_000],
        ['end', null, 3_570_000],
        ['value', 'shared', 3_570_000],
      ],
    )
  })

  it('shows its files, and how full its limits are', async t => {
    const { operator, user } = await inspected(t, express, {
      options: { maxSessionFiles: 4, maxSessionBytes: Number.POSITIVE_INFINITY },
      routes(app) {
        app.post('/file', async (req, res) => {
          res.json(await req.gradioState.saveFile('some bytes', { name: '<b>report</b>.txt' }))
        })
      },
    })
    const { user: present, id } = await user()
    const { name } = (await (await present.fetch('/file', { method: 'POST' })).json()) as { name: string }
    const { details } = await snapshot(await operator(), `session=${id}`)
    assert.deepEqual(details?.files, [{ name, size: 10, age: 0, isPinned: false }])
    assert.deepEqual(
      details?.limits.map(({ option, used, max }) => [option, used, max]),
      [
        ['maxSessionBytes', 4096, null],
        ['maxSessionFiles', 1, 4],
      ],
    )
  })

  it('shows how its pages are connected', async t => {
    const { operator, user } = await inspected(t, express)
    const { user: present, id } = await user()
    const pages = [await present.openPage(), await present.openPage({ socket: false })]
    const { details } = await snapshot(await operator(), `session=${id}`)
    assert.deepEqual(details?.connections, {
      sockets: 1,
      heartbeats: 1,
      tracked: 0,
      expected: 0,
      elsewhere: 0,
    })
    for (const page of pages) await page.close()
  })

  it('shows its tabs and scopes, and not the ids of tabs', async t => {
    const { operator, user } = await inspected(t, express, {
      routes(app) {
        app.post('/scopes', (req, res) => {
          req.gradioState.scoped('room 7').set('draft', 1)
          req.gradioState.tab?.set('cursor', 2)
          res.json({})
        })
      },
    })
    const { user: present, id } = await user()
    const tab = 'a'.repeat(22)
    await (await present.fetch('/scopes', { method: 'POST', headers: { 'gradio-state-tab': tab } })).text()
    const admitted = await operator()
    const { details, due } = await snapshot(admitted, `session=${id}`)
    assert.deepEqual(details?.scopes.map(({ name, values }) => [name, values]).sort(), [
      ['room 7', 1],
      ['tab', 1],
    ])
    const scope = details?.scopes[0]?.id ?? ''
    const shot = await snapshot(admitted, `session=${scope}`)
    assert.deepEqual([shot.details?.row.id, shot.details?.parent], [scope, id])
    // What is due in them is listed, and a search finds their session.
    assert.ok(due.some(({ session, what }) => session === scope && what === 'unload'))
    await user()
    for (const [text, matches] of [
      [scope.slice(9, 23), 1],
      ['room', 1],
      [tab, 0],
    ] as const) {
      const { list } = await snapshot(admitted, new URLSearchParams({ text }).toString())
      assert.equal(list.matches, matches)
    }
    assert.deepEqual(
      shot.events.filter(({ session }) => session === scope).map(({ text }) => text.split(': ')[0]),
      [details?.scopes[0]?.name, details?.scopes[0]?.name],
    )
    assert.ok(!JSON.stringify([details, shot]).includes(tab))
  })

  const descriptions: Record<string, [describe: (value: unknown) => unknown, text: RegExp]> = {
    'a text': [value => `value: ${value}`, /^value: 7$/],
    'an object': [value => ({ value, list: [1, 2] }), /^\{ value: 7, list: \[ 1, 2 \] \}$/],
    'a promise': [async value => value, /^7$/],
    'an exception': [
      () => {
        throw new Error('no such state')
      },
      /^describe\(\) failed: Error: no such state$/,
    ],
    'a very long text': [() => 'x'.repeat(20_000), /^x{9999}…$/],
    nothing: [() => undefined, /^$/],
  }
  for (const [name, [describe, expected]] of Object.entries(descriptions)) {
    it(`shows what describe returns for its values: ${name}`, async t => {
      const { operator, user } = await inspected(t, express, {
        inspector: { describe: session => describe(session.get('count')) },
        routes(app) {
          app.post('/count', (req, res) => {
            req.gradioState.set('count', 7)
            res.json({})
          })
        },
      })
      const { user: present, id } = await user()
      await (await present.fetch('/count', { method: 'POST' })).text()
      const { details } = await snapshot(await operator(), `session=${id}`)
      assert.match(details?.description ?? '', expected)
    })
  }

  it("waits for describe no longer than hookTimeout, and doesn't call it for the list", async t => {
    let calls = 0
    const { operator, user, clock } = await inspected(t, express, {
      inspector: {
        describe: () => {
          calls++
          return new Promise(() => {})
        },
      },
    })
    const { id } = await user()
    const admitted = await operator()
    await snapshot(admitted)
    assert.equal(calls, 0)
    const shot = snapshot(admitted, `session=${id}`)
    await until(() => calls === 1)
    await clock.advance(5)
    assert.equal((await shot).details?.description, 'describe() has not settled within 5 s')
  })
})

it('limits show what is used, and null if there is no limit', async t => {
  const { operator, user } = await inspected(t, express, {
    options: { maxSessions: 200, maxCacheBytes: '1gb' },
  })
  await user()
  const { limits, process: about } = await snapshot(await operator())
  assert.deepEqual(
    limits.map(({ option, unit, used, max }) => [option, unit, used, max]),
    [
      ['maxSessions', 'count', 1, 200],
      ['maxCacheBytes', 'bytes', 0, 1024 ** 3],
      ['maxSessionBytes', 'bytes', 0, 1024 ** 3],
      ['maxSessionFiles', 'count', 0, 1000],
    ],
  )
  assert.deepEqual([about.pid, about.isShared], [process.pid, false])
})

describe('recent events and errors', () => {
  it('are those since the inspector was created, newest first', async t => {
    const { operator, user, gradio, clock } = await inspected(t, express, {
      routes(app, gradio) {
        app.post('/value', (req, res) => {
          req.gradioState.set('draft', 1, { timeToLive: '5s', deleteCallback: fail })
          res.json({})
        })
        gradio.on('error', () => {})
      },
    })
    const { user: present, id } = await user()
    await (await present.fetch('/value', { method: 'POST' })).text()
    await idle(gradio)
    await clock.advance(10)
    const { events, errors } = await snapshot(await operator())
    assert.deepEqual(
      events.map(({ text, session, ago }) => [text, session === id, ago]),
      [
        ['value draft deleted: timeToLive', true, 5000],
        ['unloads: disconnected', true, 8000],
        ['loads', true, 10_000],
        ['begins', true, 10_000],
      ],
    )
    assert.deepEqual(errors, [{ session: id, text: 'deleteCallback of draft: Error: no disk', ago: 5000 }])
  })

  it('are at most 50 of each, of this instance only', async t => {
    const site = await inspected(t, express, { options: identifyStub })
    const other = gradioState({ ...identifyStub, clock: site.clock })
    t.after(() => closeNow(other, site.clock))
    other.inspector({ authorize: () => true })
    await beginSessions(site.gradio, 60)
    await beginSessions(other, 1)
    site.gradio.on('error', () => {})
    const { events } = await snapshot(await site.operator())
    assert.equal(events.length, 50)
    const ids = new Set(site.gradio.sessions().map(({ id }) => id))
    assert.ok(events.every(({ session }) => session !== null && ids.has(session)))
  })

  it('are neither kept without an inspector nor after close()', async () => {
    const gradio = gradioState({ clock: fakeClock() })
    const begins = channel('gradio-state:session:begin')
    const before = begins.hasSubscribers
    gradio.inspector({ authorize: () => true })
    gradio.inspector({ authorize: () => true })
    const during = begins.hasSubscribers
    await gradio.close()
    assert.deepEqual([before, during, begins.hasSubscribers], [false, true, false])
  })
})

function fail(): never {
  throw new Error('no disk')
}
