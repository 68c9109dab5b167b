// A server of open pages. Its argument says which.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { answering } from './harness/process.js'
import { type PageServerName, SERVERS } from './page-servers.js'

const [name] = process.argv.slice(2)
const { server, pages } = SERVERS[name as PageServerName]()
// On a busy machine the clients may leave a connection idle for longer than the default of 5 s.
server.keepAliveTimeout = 120_000
server.listen(0, '127.0.0.1')
await once(server, 'listening')

answering(
  {
    pages,
    /** In milliseconds, of all threads. Unlike `usage()` it collects no garbage, which would count. */
    cpu() {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000
    },
  },
  (server.address() as AddressInfo).port,
)
