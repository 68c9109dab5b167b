const assert = require('node:assert/strict')
const { once } = require('node:events')

/** Visits an app that responds with its user's number of visits. */
exports.countVisits = async (app, gradio) => {
  const server = app.listen(0)
  await once(server, 'listening')
  const visit = async cookie => {
    const headers = cookie ? { cookie } : {}
    const response = await fetch(`http://localhost:${server.address().port}`, { headers })
    const cookies = response.headers.getSetCookie().map(each => each.split(';')[0])
    return { visits: await response.text(), cookie: cookies.join('; ') }
  }
  const first = await visit()
  assert.notEqual(first.cookie, '')
  assert.equal(first.visits, '1')
  assert.equal((await visit(first.cookie)).visits, '2')
  assert.equal((await visit()).visits, '1')
  server.close()
  await gradio.close()
}
