// The responses of `GET file/:sha256/:name`.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { it } from 'node:test'
import { DIGITS, ifNoneMatch, save, saveSite } from '../support/files/save-site.ts'
import { forEachExpress } from '../support/http/express.ts'

/** The headers of a response, except those about the connection. */
function headersOf({ headers }: Response): Record<string, string> {
  const { date, connection, 'keep-alive': _, ...rest } = Object.fromEntries(headers)
  assert.ok(date && connection)
  return rest
}

forEachExpress((_name, express) => {
  it('a file is served to its user as it was saved', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, sha256 } = await save(user)
    const answer = await user.fetch(url)
    assert.equal(answer.status, 200)
    assert.equal(await answer.text(), DIGITS)
    const { 'last-modified': modified, ...headers } = headersOf(answer)
    assert.ok(Date.parse(modified ?? '') <= Date.now())
    assert.deepEqual(
      { ...headers, 'x-powered-by': undefined },
      {
        'accept-ranges': 'bytes',
        'cache-control': 'private, no-cache',
        'content-disposition': 'inline; filename="digits.txt"',
        'content-length': '10',
        'content-security-policy': "default-src 'none'; sandbox",
        'content-type': 'text/plain; charset=utf-8',
        etag: `"${sha256}"`,
        vary: 'Cookie',
        'x-content-type-options': 'nosniff',
        'x-powered-by': undefined,
      },
    )
  })

  it('HEAD has the same headers, without the content', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url } = await save(user)
    const [get, head] = [await user.fetch(url), await user.fetch(url, { method: 'HEAD' })]
    assert.equal(head.status, 200)
    assert.equal(await head.text(), '')
    assert.deepEqual(headersOf(head), headersOf(get))
  })

  it('an empty file is served', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, size } = await save(user, 'empty.txt', '')
    const answer = await user.fetch(url)
    assert.deepEqual([size, answer.status, await answer.text()], [0, 200, ''])
  })

  const ranges: Record<string, [string, string]> = {
    'bytes=2-5': ['2345', 'bytes 2-5/10'],
    'bytes=7-': ['789', 'bytes 7-9/10'],
    'bytes=-3': ['789', 'bytes 7-9/10'],
    'bytes=0-0': ['0', 'bytes 0-0/10'],
    'bytes=8-99': ['89', 'bytes 8-9/10'],
    'bytes=2-3,4-5': ['2345', 'bytes 2-5/10'],
  }
  for (const [range, [text, contentRange]] of Object.entries(ranges)) {
    it(`Range: ${range}`, async t => {
      const { visitor } = await saveSite(t, express)
      const user = visitor()
      const { url } = await save(user)
      const answer = await user.fetch(url, { headers: { range } })
      assert.deepEqual(
        [answer.status, await answer.text(), answer.headers.get('content-range')],
        [206, text, contentRange],
      )
      assert.equal(answer.headers.get('content-length'), String(text.length))
    })
  }

  it('multiple ranges and invalid ranges return the whole file', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url } = await save(user)
    for (const range of ['bytes=0-1,5-6', 'bytes=nonsense', 'lines=1-2']) {
      const answer = await user.fetch(url, { headers: { range } })
      assert.deepEqual([answer.status, await answer.text()], [200, DIGITS], range)
    }
  })

  it('a range past the end is answered with 416 and the size', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url } = await save(user)
    for (const range of ['bytes=10-', 'bytes=20-30']) {
      const answer = await user.fetch(url, { headers: { range } })
      assert.equal(answer.status, 416)
      assert.equal(answer.headers.get('content-range'), 'bytes */10')
      assert.equal(answer.headers.get('etag'), null)
      assert.equal(answer.headers.get('content-disposition'), null)
      assert.equal(await answer.text(), '')
    }
  })

  it('If-Range: a part of the same file, otherwise the whole', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, sha256 } = await save(user)
    const ask = async (ifRange: string) => {
      const answer = await user.fetch(url, { headers: { range: 'bytes=2-5', 'if-range': ifRange } })
      return [answer.status, await answer.text()]
    }
    assert.deepEqual(await ask(`"${sha256}"`), [206, '2345'])
    assert.deepEqual(await ask('"another"'), [200, DIGITS])
    assert.deepEqual(await ask('Thu, 01 Jan 1970 00:00:00 GMT'), [200, DIGITS])
  })

  it('If-None-Match and If-Match', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, sha256 } = await save(user)
    for (const tag of [`"${sha256}"`, `W/"${sha256}"`, `"other", "${sha256}"`, '*']) {
      const answer = await user.fetch(url, { headers: ifNoneMatch(tag) })
      assert.equal(answer.status, 304, tag)
      assert.equal(await answer.text(), '')
      assert.equal(answer.headers.get('etag'), `"${sha256}"`)
      assert.equal(answer.headers.get('cache-control'), 'private, no-cache')
      assert.equal(answer.headers.get('vary'), 'Cookie')
    }
    const other = { headers: ifNoneMatch('"other"') }
    assert.equal((await user.fetch(url, other)).status, 200)
    assert.equal((await user.fetch(url, { headers: { 'if-match': `"${sha256}"` } })).status, 200)
    const failed = await user.fetch(url, { headers: { 'if-match': '"other"' } })
    assert.deepEqual([failed.status, await failed.text()], [412, ''])
  })

  const names = [
    'two words.txt',
    '日本語.txt',
    'émoji 🎉.txt',
    '100%.txt',
    '%41.txt',
    'a+b&c=d#e;f.txt',
    "quote's (1).txt",
    'semi;colon, comma.txt',
  ]
  for (const name of names) {
    it(`the name ${name} is preserved`, async t => {
      const { visitor } = await saveSite(t, express)
      const user = visitor()
      const file = await save(user, name)
      assert.equal(file.name, name)
      const answer = await user.fetch(file.url)
      assert.deepEqual([answer.status, await answer.text()], [200, DIGITS])
      const disposition = answer.headers.get('content-disposition') ?? ''
      const extended = /filename\*=UTF-8''([^;]+)/.exec(disposition)?.[1]
      const plain = /filename="((?:[^"\\]|\\.)*)"/.exec(disposition)?.[1]
      const decoded = extended === undefined ? plain : decodeURIComponent(extended)
      assert.equal(decoded ?? /filename=([^;]+)/.exec(disposition)?.[1], name, disposition)
    })
  }

  const dispositions: Record<string, ['inline' | 'attachment', string]> = {
    'picture.png': ['inline', 'image/png'],
    'picture.jpg': ['inline', 'image/jpeg'],
    'picture.webp': ['inline', 'image/webp'],
    'picture.gif': ['inline', 'image/gif'],
    'sound.mp3': ['inline', 'audio/mpeg'],
    'film.mp4': ['inline', 'video/mp4'],
    'notes.txt': ['inline', 'text/plain; charset=utf-8'],
    'page.html': ['attachment', 'text/html; charset=utf-8'],
    'page.HTM': ['attachment', 'text/html; charset=utf-8'],
    'page.xhtml': ['attachment', 'application/xhtml+xml'],
    'drawing.svg': ['attachment', 'image/svg+xml'],
    'drawing.SVGZ': ['attachment', 'image/svg+xml'],
    'feed.xml': ['attachment', ''],
    'paper.pdf': ['attachment', 'application/pdf'],
    'script.js': ['attachment', 'text/javascript; charset=utf-8'],
    'script.mjs': ['attachment', 'text/javascript; charset=utf-8'],
    'style.css': ['attachment', 'text/css; charset=utf-8'],
    'archive.zip': ['attachment', 'application/zip'],
    'data.json': ['attachment', 'application/json; charset=utf-8'],
    'no-ending': ['attachment', 'application/octet-stream'],
    'two.png.html': ['attachment', 'text/html; charset=utf-8'],
  }
  it('only types that run no script are displayed inline', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    for (const [name, [disposition, type]] of Object.entries(dispositions)) {
      const { url } = await save(user, name, '<script>alert(1)</script>')
      const { headers } = await user.fetch(url)
      assert.equal(headers.get('content-disposition')?.split(';')[0], disposition, name)
      if (type !== '') assert.equal(headers.get('content-type'), type, name)
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      const policy = headers.get('content-security-policy') ?? ''
      assert.match(policy, /^default-src 'none'; (media-src 'self'; )?sandbox( allow-same-origin)?$/)
      assert.equal(policy.includes('same-origin'), /^(audio|video)/.test(type), name)
    }
  })

  for (const session of [false, {}, { rolling: true }] as const) {
    it(`the response is the same for a foreign file and one that never existed, with session: ${JSON.stringify(session)}`, async t => {
      const { gradio, visitor } = await saveSite(t, express, { session })
      const [owner, other, stranger] = [visitor(), visitor(), visitor()]
      const { url, sha256 } = await save(owner)
      await save(other, 'of the other.txt', 'other')
      const unknown = url.replaceAll(sha256, '0'.repeat(64))
      assert.equal((await owner.fetch(url)).status, 200)

      const expected = await owner.fetch(unknown)
      const body = await expected.text()
      assert.equal(expected.status, 404)
      assert.equal(JSON.parse(body).error.code, 'FILE_UNKNOWN')
      assert.equal(expected.headers.get('cache-control'), 'no-store')
      const paths = [
        unknown,
        url.replace('digits.txt', 'other.txt'),
        url.replace('digits.txt', '%E0%A4%A'),
        url.replace('digits.txt', '..%2Fowner.json'),
        `/gradio_api/file/${sha256}/`,
        `/gradio_api/file/..%2F..%2F/digits.txt`,
      ]
      const answers = [
        ...(await Promise.all(paths.map(path => owner.fetch(path)))),
        await other.fetch(url),
        await other.fetch(unknown),
        await stranger.fetch(url),
        await other.fetch(url, { headers: { range: 'bytes=0-1', ...ifNoneMatch(`"${sha256}"`) } }),
      ]
      for (const answer of answers) {
        assert.equal(answer.status, 404)
        assert.equal(await answer.text(), body)
        assert.deepEqual(headersOf(answer), headersOf(expected))
      }
      assert.equal((await other.fetch(url, { method: 'HEAD' })).status, 404)
      assert.equal(stranger.cookies.size, 0)
      assert.equal(gradio.stats().sessions, 2)
    })
  }

  it('a file whose session has ended is unknown', async t => {
    const { gradio, visitor } = await saveSite(t, express)
    const user = visitor()
    const { url } = await save(user)
    await gradio.endSession(gradio.sessions()[0]?.id ?? '')
    assert.equal((await user.fetch(url)).status, 404)
  })

  it('a file that was removed from the disk is unknown, and nothing crashes', async t => {
    const { visitor } = await saveSite(t, express)
    const user = visitor()
    const { url, path } = await save(user)
    await rm(path)
    const gone = await user.fetch(url)
    assert.equal(gone.status, 404)
    assert.equal(gone.headers.get('etag'), null)
    assert.equal(gone.headers.get('content-disposition'), null)
    assert.equal(((await gone.json()) as { error: { code: string } }).error.code, 'FILE_UNKNOWN')
  })
})
