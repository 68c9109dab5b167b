import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type GradioStateOptions, gradioState } from '../lib/index.ts'
import { fakeClock } from '../lib/testing/index.ts'
import { isAbout } from './support/option-error.ts'

/** Wrong values of each option, and how the message shows what was received. */
const wrong: Record<keyof GradioStateOptions, [value: unknown, shown: string][]> = {
  path: [
    ['', '""'],
    ['gradio_api', '"gradio_api"'],
    ['/', '"/"'],
    ['/api/', '"/api/"'],
    ['/a b', '"/a b"'],
    ['/a?b', '"/a?b"'],
    [/x/, 'an object (RegExp)'],
    [null, 'null'],
  ],
  gracePeriod: [
    [-1, '-1'],
    [Number.NaN, 'NaN'],
    ['6.5', '"6.5"'],
    ['10 parsecs', '"10 parsecs"'],
    ['-5s', '"-5s"'],
    ['', '""'],
    [new Date(0), 'an object (Date)'],
    [null, 'null'],
    [true, 'true'],
  ],
  store: [
    [null, 'null'],
    ['redis', '"redis"'],
    [{}, 'an object (Object)'],
    [{ get() {}, set() {} }, 'an object (Object)'],
  ],
  onRegenerate: [
    ['', '""'],
    ['move', '"move"'],
    [true, 'true'],
    [null, 'null'],
  ],
  keepAlive: [
    ['yes', '"yes"'],
    [1, '1'],
    [null, 'null'],
  ],
  unloadDelay: [
    [-0.5, '-0.5'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    ['86401', '"86401"'],
    ['2 days', '"2 days"'],
    [null, 'null'],
  ],
  heartbeat: [
    [0, '0'],
    [31, '31'],
    ['1m', '"1m"'],
    [-15, '-15'],
    ['often', '"often"'],
    [null, 'null'],
  ],
  hookTimeout: [
    [0, '0'],
    [-5, '-5'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NaN, 'NaN'],
    ['soon', '"soon"'],
    [null, 'null'],
  ],
  maxScopes: [
    [0, '0'],
    ['100', '"100"'],
  ],
  maxSessions: [
    [0, '0'],
    [-1, '-1'],
    [1.5, '1.5'],
    [Number.NaN, 'NaN'],
    ['100', '"100"'],
    [null, 'null'],
  ],
  cacheDir: [
    ['', '""'],
    ['/tmp/\0', '"/tmp/\\u0000"'],
    [42, '42'],
    [null, 'null'],
  ],
  deleteCache: [
    [60, '60'],
    [[60], 'an array of 1'],
    [[1, 0], '0'],
    [[0, 1], '0'],
    [[60, -1], '-1'],
    [['1m', '10 parsecs'], '"10 parsecs"'],
    [[Number.NaN, 60], 'NaN'],
    [null, 'null'],
  ],
  dedup: [
    ['none', '"none"'],
    [true, 'true'],
    [null, 'null'],
  ],
  maxFileSize: [
    [-1, '-1'],
    [Number.NaN, 'NaN'],
    ['2e2', '"2e2"'],
    ['200 parsecs', '"200 parsecs"'],
    [null, 'null'],
  ],
  maxSessionBytes: [
    [-1, '-1'],
    ['much', '"much"'],
    [null, 'null'],
  ],
  maxSessionFiles: [
    [0, '0'],
    [1.5, '1.5'],
    ['1000', '"1000"'],
    [Number.NaN, 'NaN'],
    [null, 'null'],
  ],
  maxCacheBytes: [
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    ['-1gb', '"-1gb"'],
    [null, 'null'],
  ],
  publicPath: [
    ['app', '"app"'],
    ['/app/', '"/app/"'],
    ['/', '"/"'],
    ['https://app.example/app', '"https://app.example/app"'],
    [null, 'null'],
  ],
  uploadRoute: [
    [1, '1'],
    ['yes', '"yes"'],
    [null, 'null'],
  ],
  session: [
    ['none', '"none"'],
    [true, 'true'],
    [null, 'null'],
    [() => 'auto', 'a function'],
  ],
  origins: [
    ['https://app.example', '"https://app.example"'],
    [['app.example'], '"app.example"'],
    [['https://app.example/'], '"https://app.example/"'],
    [['https://app.example/path'], '"https://app.example/path"'],
    [['*'], '"*"'],
    [['null'], '"null"'],
    [['file://'], '"file://"'],
    [['tauri://localhost/'], '"tauri://localhost/"'],
    [['tauri://'], '"tauri://"'],
    [['tauri:localhost'], '"tauri:localhost"'],
    [['app://user@-'], '"app://user@-"'],
    [['app://-?x'], '"app://-?x"'],
    [['TAURI://localhost'], '"TAURI://localhost"'],
    [['about:blank'], '"about:blank"'],
    [['blob:https://app.example/x'], '"blob:https://app.example/x"'],
    [['capacitor://localhost, https://app.example'], '"capacitor://localhost, https://app.example"'],
    [[/example/], 'an object (RegExp)'],
    [null, 'null'],
  ],
  cookie: [
    ['gradio', '"gradio"'],
    [null, 'null'],
    [[], 'an array of 0'],
    [{ names: 'x' }, '"names"'],
  ],
  identify: [
    ['x-user', '"x-user"'],
    [{}, 'an object (Object)'],
    [null, 'null'],
  ],
  info: [
    ['name', '"name"'],
    [42, '42'],
    [null, 'null'],
  ],
  cluster: [
    ['redis', '"redis"'],
    [{}, 'an object (Object)'],
    [() => {}, 'a function'],
    [null, 'null'],
  ],
  clock: [
    [Date, 'a function (Date)'],
    [{ now: Date.now }, 'an object (Object)'],
    [{ now: 0, wall: 0, setTimer: 0 }, 'an object (Object)'],
    [null, 'null'],
  ],
}

const wrongInCookie: [name: string, value: unknown, shown: string][] = [
  ['name', '', '""'],
  ['name', 'a b', '"a b"'],
  ['name', 'a=b', '"a=b"'],
  ['name', 5, '5'],
  ['path', 'api', '"api"'],
  ['path', '/a;b', '"/a;b"'],
  ['path', '/ä', '"/ä"'],
  ['domain', 'exa mple', '"exa mple"'],
  ['domain', 'a..example', '"a..example"'],
  ['domain', '', '""'],
  ['sameSite', 'Lax', '"Lax"'],
  ['sameSite', false, 'false'],
  ['secure', 'yes', '"yes"'],
  ['secure', 1, '1'],
  ['maxAge', 0, '0'],
  ['maxAge', -1, '-1'],
  ['maxAge', '1 moon', '"1 moon"'],
  ['maxAge', '500d', '"500d"'],
  ['partitioned', 'yes', '"yes"'],
]

describe('an invalid option throws at once: which one, what was expected, what was received', () => {
  for (const [name, cases] of Object.entries(wrong)) {
    for (const [value, shown] of cases) {
      it(`${name}: ${shown}`, () => {
        assert.throws(() => gradioState({ [name]: value }), isAbout(name, shown))
      })
    }
  }

  for (const [name, value, shown] of wrongInCookie) {
    it(`cookie.${name}: ${shown}`, () => {
      assert.throws(() => gradioState({ cookie: { [name]: value } }), isAbout(name, shown))
    })
  }

  for (const [misspelt, meant] of [
    ['gracePeroid', 'gracePeriod'],
    ['maxSesions', 'maxSessions'],
    ['cachedir', 'cacheDir'],
    ['origin', 'origins'],
  ] as const) {
    it(`a misspelt option, with the list of valid ones and the nearest: ${misspelt}`, () => {
      const options = { [misspelt]: '5m' } as GradioStateOptions
      assert.throws(() => gradioState(options), isAbout('hookTimeout', `"${misspelt}"`))
      assert.throws(() => gradioState(options), { message: new RegExp(`Did you mean "${meant}"\\?$`) })
    })
  }

  it('an option that resembles none, without a suggestion', () => {
    const options = { verbose: true } as GradioStateOptions
    assert.throws(() => gradioState(options), { message: /got "verbose" too\.$/ })
  })

  for (const value of [null, 5, 'x', []]) {
    it(`options that are not an object: ${JSON.stringify(value)}`, () => {
      assert.throws(() => gradioState(value as never), isAbout('the options'))
    })
  }
})

describe('valid options are accepted', () => {
  const right: GradioStateOptions[] = [
    {},
    { gracePeriod: 0, unloadDelay: 0 },
    { gracePeriod: Number.POSITIVE_INFINITY, maxSessions: Number.POSITIVE_INFINITY },
    { gracePeriod: '1.5h', unloadDelay: '500ms', heartbeat: '30s', hookTimeout: '1 day' },
    { path: '/a/b.c/~d-e_f', origins: ['http://localhost:5173', 'https://app.example'] },
    { cookie: { name: '__Host-x', path: '/', secure: true, sameSite: 'none', maxAge: '30d' } },
    { cookie: { domain: 'app.example' } },
    { cookie: { sameSite: 'none', secure: true, partitioned: true } },
    { publicPath: '' },
    { origins: ['tauri://localhost', 'capacitor://localhost', 'ionic://localhost', 'app://-'] },
    { publicPath: '/tools/app-1' },
    { clock: fakeClock(), info: () => 1, identify: () => undefined },
  ]
  for (const [index, options] of right.entries()) {
    it(`${index}: ${Object.keys(options).join(', ')}`, () => {
      const before = structuredClone(Object.keys(options))
      gradioState(Object.freeze(options))
      assert.deepEqual(Object.keys(options), before)
    })
  }

  it('undefined is the same as no value', () => {
    const names = Object.keys(wrong)
    gradioState(Object.fromEntries(names.map(name => [name, undefined])))
  })
})
