// The public types, as a user's compiler sees them. This file is compiled and never run.

import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import express, { type Request } from 'express'
import type { WebSocket } from 'ws'
import {
  type CloseReport,
  type DeleteReason,
  type ErrorCode,
  type GradioState,
  GradioStateError,
  type GradioStateOptions,
  gradioState,
  type RequestState,
  type SessionState,
  type SessionView,
  type SharedState,
  type State,
  type Stats,
} from '../lib/index.ts'
import { type FakeClock, fakeClock, type TestPage, visitor } from '../lib/testing/index.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only when the type of the value is exactly that. */
function is<Expected>() {
  return <Actual>(_value: Actual, ..._same: Equal<Actual, Expected> extends true ? [] : [never]): void => {}
}

interface Picture {
  url: string
}

declare const req: Request
declare const picture: Picture
declare const webSocket: WebSocket
declare const res: ServerResponse

const gradio = gradioState()
is<GradioState>()(gradio)

// It is an Express middleware, and one for a bare `http` server.
express().use(gradio)
express().use('/path', gradio)
express.Router().use(gradio)
express().post('/', gradio, (req, res) => {
  is<RequestState>()(req.gradioState)
  res.json(req.gradioState.id)
})
const bare: (req: IncomingMessage, res: ServerResponse, next: () => void) => void = gradio
void bare

// A definition knows the type of its value.
const history = gradio.state<Picture[]>('history', {
  value: () => [],
  timeToLive: '1h',
  deleteReplaced: true,
  deleteCallback: async (pictures, { reason, session, name, key, signal }) => {
    is<Picture[]>()(pictures)
    is<DeleteReason>()(reason)
    is<SessionView>()(session)
    is<string>()(name)
    is<string>()(key)
    is<AbortSignal>()(signal)
  },
})
is<State<Picture[]>>()(history)
is<State<number>>()(gradio.state('inferred', { value: 0 as number }))
is<State<Picture | undefined>>()(gradio.state<Picture>('without a value'))
is<State<Picture | undefined>>()(gradio.state<Picture>('with options only', { timeToLive: 60 }))
is<State<unknown>>()(gradio.state('of no type'))
// @ts-expect-error the initial value is of another type
gradio.state<Picture[]>('wrong', { value: 'none' })
// @ts-expect-error there is no such option
gradio.state<Picture[]>('wrong', { ttl: 60 })

// Values of a definition are read and written with its type.
is<Picture[]>()(req.gradioState.get(history))
is<Picture | undefined>()(req.gradioState.get(gradio.state<Picture>('maybe')))
req.gradioState.set(history, [picture])
req.gradioState.update(history, pictures => {
  is<Picture[]>()(pictures)
  return [...pictures, picture]
})
is<boolean>()(req.gradioState.has(history))
is<boolean>()(req.gradioState.touch(history))
is<Promise<boolean>>()(req.gradioState.delete(history))
// @ts-expect-error not an array
void req.gradioState.set(history, picture)
// @ts-expect-error gives another type
void req.gradioState.update(history, () => 'none')
// @ts-expect-error gives a promise
void req.gradioState.update(history, async pictures => pictures)
// @ts-expect-error the options of a definition stand in it
req.gradioState.set(history, [], { timeToLive: 60 })

// A shared state has its own methods, which take the session first and return promises.
const count = gradio.sharedState('count', { value: 0 as number, maxSize: '1kb', timeToLive: '1d' })
is<SharedState<number>>()(count)
is<SharedState<Picture | undefined>>()(gradio.sharedState<Picture>('shared without a value'))
is<SharedState<Date>>()(
  gradio.sharedState('with a codec', {
    value: () => new Date(),
    codec: { encode: date => date.toISOString(), decode: text => new Date(text) },
    deleteCallback: date => is<Date>()(date),
  }),
)
const now: number = await count.get(req.gradioState)
void now
// @ts-expect-error a promise
const later: number = count.get(req.gradioState)
void later
is<Promise<number>>()(count.get(req.gradioState))
is<Promise<void>>()(count.set(req.gradioState, 1))
is<Promise<number>>()(count.update(req.gradioState, value => value + 1))
is<Promise<boolean>>()(count.has(req.gradioState))
is<Promise<boolean>>()(count.touch(req.gradioState))
is<Promise<boolean>>()(count.delete(req.gradioState))
is<Promise<number>>()(count.get(gradio.session('id')!))
// @ts-expect-error there may be no such session
void count.get(gradio.session('id'))
// @ts-expect-error not the request itself
void count.get(req)
// @ts-expect-error not an id
void count.get('id')
// In a hook it can be read.
gradio.ended(({ session }) => is<Promise<number | undefined>>()(count.get(session)))
gradio.ended(({ session }) => is<Promise<boolean>>()(count.has(session)))
// @ts-expect-error it can't be written there
gradio.ended(({ session }) => count.set(session, 1))
// @ts-expect-error nor updated
gradio.ended(({ session }) => count.update(session, value => value))
// @ts-expect-error nor touched
gradio.ended(({ session }) => count.touch(session))
// @ts-expect-error nor deleted
gradio.ended(({ session }) => count.delete(session))
// @ts-expect-error the methods of the session don't take it
req.gradioState.get(count)
// @ts-expect-error nor set it
req.gradioState.set(count, 1)
// @ts-expect-error nor update it
req.gradioState.update(count, (value: number) => value)
// @ts-expect-error nor touch it
req.gradioState.touch(count)
// @ts-expect-error nor ask for it
req.gradioState.has(count)
// @ts-expect-error nor delete it
void req.gradioState.delete(count)
// @ts-expect-error nor do those of a hook
gradio.ended(({ session }) => session.get(count))
// @ts-expect-error not a number
await count.set(req.gradioState, 'one')
// @ts-expect-error gives a promise
await count.update(req.gradioState, async value => value)
// @ts-expect-error the options of a definition stand in it
await count.set(req.gradioState, 1, { timeToLive: 60 })
// @ts-expect-error the initial value is of another type
gradio.sharedState<Picture[]>('wrong', { value: 'none' })
// @ts-expect-error the codec is of another type
gradio.sharedState<number>('wrong', { codec: { encode: String, decode: String } })
// @ts-expect-error not shared
is<SharedState<Picture[]>>()(history satisfies SharedState<Picture[]>)
// @ts-expect-error shared
is<State<number>>()(count satisfies State<number>)

// A plain name accepts anything, and returns `unknown`.
is<unknown>()(req.gradioState.get('model'))
req.gradioState.set('model', picture, {
  timeToLive: 90,
  deleteCallback: model => is<Picture>()(model),
})
req.gradioState.update('count', count => {
  is<unknown>()(count)
  return Number(count) + 1
})

// The rest of the request's state.
is<string>()(req.gradioState.id)
is<number>()(req.gradioState.pages)
is<AbortSignal>()(req.gradioState.signal)
is<Promise<void>>()(req.gradioState.establish())
is<Promise<void>>()(req.gradioState.end())
// @ts-expect-error the middleware sets it, nobody else
req.gradioState.id = 'chosen'

// Hooks.
is<() => void>()(
  gradio.load(({ session, key, signal }) => {
    is<SessionView>()(session)
    is<string>()(key)
    is<AbortSignal>()(signal)
    is<Picture[] | undefined>()(session.get(history))
    is<unknown>()(session.get('model'))
    is<Date>()(session.createdAt)
    is<unknown>()(session.info)
  }),
)
is<() => void>()(
  gradio.unload(async ({ reason }) => {
    const text: 'disconnected' | 'expired' | 'destroyed' | 'regenerated' | 'evicted' | 'ended' | 'shutdown' =
      reason
    void text
  }),
)
is<() => void>()(gradio.ended(() => 'anything'))
is<GradioState>()(
  gradio.on('error', (error, { source, session }) => {
    is<unknown>()(error)
    is<string | undefined>()(session)
    void source
  }),
)
is<GradioState>()(gradio.off('error', () => {}))
// @ts-expect-error there is no reason yet when a user arrives
gradio.load(({ reason }) => reason)
// @ts-expect-error no such event
gradio.on('close', () => {})
// @ts-expect-error no such event
gradio.off('unload', () => {})

// The rest of the instance.
gradio.track(req, webSocket)
gradio.track(req, res)
gradio.track(req, new AbortController().signal)
declare const socketIo: import('socket.io').Socket
gradio.track(req, socketIo)
gradio.track(req, socketIo.conn)
declare const sse: import('better-sse').Session
gradio.track(req, sse)
declare const sockJs: import('sockjs').Connection
gradio.track(req, sockJs)
declare const http2Response: import('node:http2').Http2ServerResponse
gradio.track(req, http2Response)
declare const http2Stream: import('node:http2').ServerHttp2Stream
gradio.track(req, http2Stream)
declare const connection: import('node:net').Socket
gradio.track(req, connection)
declare const standardSocket: globalThis.WebSocket
gradio.track(req, standardSocket)
gradio.track(req, new MessageChannel().port1)
// @ts-expect-error shows nothing of its own
gradio.track(req, new EventEmitter())
// @ts-expect-error shows nothing of its own
gradio.track(req, new BroadcastChannel('any'))
// @ts-expect-error its states aren't those of a WebSocket
gradio.track(req, new EventSource('/events'))
gradio.attach(express().listen())
is<SessionState[]>()(gradio.sessions())
is<SessionState | undefined>()(gradio.session('id'))
is<Promise<boolean>>()(gradio.endSession('id'))
is<Stats>()(gradio.stats())
is<Promise<CloseReport>>()(gradio.close({ timeout: '25s' }))
// @ts-expect-error no socket says when it is closed
gradio.track(req, {})
// @ts-expect-error only the state of a request can be established
gradio.session('id')?.establish()

// Options.
const options: GradioStateOptions = {
  path: '/gradio_api',
  publicPath: '/app',
  gracePeriod: '60m',
  unloadDelay: 0,
  maxSessions: Number.POSITIVE_INFINITY,
  session: 'framework',
  origins: ['http://localhost:5173'],
  cookie: { name: 'mine', sameSite: 'none', secure: 'auto', maxAge: '1d' },
  identify: req => req.headers.authorization,
  info: req => ({ address: req.socket.remoteAddress }),
  clock: fakeClock(),
}
gradioState(options)
// @ts-expect-error misspelt
gradioState({ grace: 60 })
// @ts-expect-error no such choice
gradioState({ session: 'koa' })
// @ts-expect-error a promise is no credential
gradioState({ identify: async () => 'ann' })

// Errors.
try {
  req.gradioState.get(history)
} catch (error) {
  if (error instanceof GradioStateError) {
    is<ErrorCode>()(error.code)
    is<number>()(error.status)
    is<string>()(error.message)
  }
}

// For users' tests.
const clock = fakeClock()
is<FakeClock>()(clock)
is<Promise<void>>()(clock.advance('1h'))
is<Promise<TestPage>>()(visitor('http://localhost').openPage({ path: '/gradio_api' }))
