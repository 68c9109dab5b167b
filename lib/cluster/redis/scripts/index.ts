import { createHash } from 'node:crypto'
import { APPLY } from './apply.js'
import { BEAT } from './beat.js'
import { LEAVE } from './leave.js'
import { RESYNC } from './resync.js'

// All state of a shard is in keys that begin with its tag, `{prefix:number}`: the braces make Redis Cluster keep them in
// one slot (Redis docs, "Cluster specification", hash tags). Below the tag:
//
//   :nodes          sorted set: node -> time of its last beat
//   :seq            hash: node -> number of its last batch. A node that is not in it has lapsed and has to resync.
//   :secret         what the nodes sign with; that of the first shard holds
//   :epoch          random, made with the first node: another one means that Redis has lost everything meanwhile
//   :n:<node>       set: the sessions that the node has a share in
//   :old:<node>     set: those of them that it hasn't told of since its resync began
//   :due:<node>     sorted set: what that node is to claim -> when. `due:` without a node: for whoever comes next
//   :in:<node>      list: messages for the node, in JSON: what, id and version of the session, and more
//   :s:<session>    hash: one session. The name is a digest of its token, which is a credential
//        id · ver version, grows with each change · b began · l load · p phase (l loaded, u unloading, n unloaded) · w why
//        f fence · o the node that claims · h page since the load · y page ever · cu cn an unload is claimed until, by
//        ua ea when that is due which nodes that are gone have kept: unload, end (- never) · vs version of the last shared value
//        k:<node> what it keeps: flags for loaded and for the state, end of the state (- not while somebody is there),
//        navigations in flight, until when pages are expected · p:<page> node that has it · v:<node> has values of its own there
//   :v:<session>    hash: shared values: name -> "version expiry text"
//   :x:<id>         hash: a session that has ended and is not completed;  :xv:<id> its shared values
//   :gone:<id>      for a minute: that session was ended and completed
//   :r:<id>:<version>   hash: a deleted shared value whose callback is not completed
//
// Time is that of Redis, in milliseconds; delays come from the nodes. -1 stands for never, and for none.

/** A script, and the name that Redis knows it by. */
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
