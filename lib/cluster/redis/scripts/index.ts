import { createHash } from 'node:crypto'
import { APPLY } from './apply.js'
import { BEAT } from './beat.js'
import { LEAVE } from './leave.js'
import { RESYNC } from './resync.js'

// All state of a shard is in keys that begin with its tag, `{prefix:number}`: the braces make Redis Cluster store them in one slot
// (Redis docs, "Cluster specification", hash tags). The keys, without the tag:
//
//   :nodes          sorted set: node -> time of its last heartbeat
//   :seq            hash: node -> number of its last batch. A node that isn't in it was considered dead, and has to resync.
//   :about          hash: node -> format of the records that it writes, and its options as JSON
//   :secret         the nodes' secret; the one of the first shard is used
//   :epoch          random, set by the first node: another one means that Redis has lost its data
//   :n:<node>       set: the sessions in which the node has a share
//   :old:<node>     set: those of them that the node has not sent since its resync began
//   :due:<node>     sorted set: what that node has to claim -> when. `due:` without a node: for the next node with a heartbeat
//   :in:<node>      list: messages for the node as JSON: kind, id and version of the session, arguments
//   :s:<session>    hash: one session. The name is a digest of its token, which is a credential. Its fields:
//        id  id           ver  version, increases with each change     b   createdAt
//        l   load count   p    phase (l loaded, u unloading, n unloaded)   w   reason of the next unload or end
//        f   fence        o    node that claims the due work           h   had a page since the load     y  ever had a page
//        cu  claim of the unload until      cn  node with that claim   vs  version of the last shared value
//        sc  of a scope: id of its session, and its key
//        ua  earliest unload after nodes have left or crashed          ea  earliest end likewise (- never)
//        k:<node>  its share: flags for loaded and for state, time of the end (- while an entry is present), navigations in
//                  flight, deadlines of expected pages
//        p:<page>  node that has the page                              v:<node>  the node has local values
//   :v:<session>    hash: shared values: name -> "version expiry text"
//   :x:<id>         hash: a session that has ended, until the end is completed;  :xv:<id>  its shared values
//   :gone:<id>      for a minute: that session has ended and the end is completed
//   :r:<id>:<version>   hash: a deleted shared value, until its callback has run
//
// Times are those of Redis, in milliseconds; nodes send delays. -1 stands for never, and for none.

/** A script and its SHA-1, by which Redis caches it. */
export interface Script {
  readonly source: string
  readonly sha: string
}

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}

export const scripts = {
  apply: script(APPLY),
  beat: script(BEAT),
  resync: script(RESYNC),
  leave: script(LEAVE),
}
