// Requests to existing sessions, without HTTP, among a given number of sessions.

import { eachOf, newToken, sendRequest, unlimited } from './begin-sessions.js'
import { answering } from './harness/process.js'

const gradio = unlimited()
const counter = gradio.state('counter', { value: 0 })
const tokens: string[] = []

answering({
  begin: (count: number) =>
    eachOf(count, () => {
      const token = newToken()
      tokens.push(token)
      sendRequest(gradio, token, state => state.get(counter))
    }),
  /** CPU of the requests, in microseconds each. */
  async cost(requests: number) {
    const before = process.cpuUsage()
    await eachOf(requests, () => {
      const token = tokens[Math.floor(Math.random() * tokens.length)] as string
      sendRequest(gradio, token, state => state.set(counter, state.get(counter) + 1))
    })
    const { user, system } = process.cpuUsage(before)
    return (user + system) / requests
  },
})
