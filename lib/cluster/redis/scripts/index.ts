import { createHash } from 'node:crypto'
import { ANNOUNCE } from './announce.js'
import { APPLY } from './apply.js'
import { BEAT } from './beat.js'
import { LEAVE } from './leave.js'

// All state of a shard is in keys that begin with its tag, `{prefix:number}`: the braces make Redis Cluster keep them in
// one slot (Redis docs, "Cluster specification", hash tags). Below the tag:
//
//   :nodes          sorted set: node -> time of its last beat
//   :seq            hash: node -> number of its last batch. A node that is not in it has lapsed and has to announce itself.
//   :secret         what the nodes sign with; that of the first shard holds
//   :epoch          random, made with the first node: another one means that Redis has lost everything meanwhile
//   :n:<node>       set: the sessions that the node has a part in
//   :due:<node>     sorted set: what that node is to claim -> when. `due:` without a node: for whoever comes next
//   :in:<node>      list: messages for the node, in JSON
//   :s:<session>    hash: one session. The name is a digest of its token, which is a credential
//        id life · b began · l load · p phase (l loaded, u unloading, n unloaded) · w why · f fence · o the node that claims
//        h page since the load · y page ever · ua ea unload and end not before (ea empty: never) · aw er pages awaited, early
//        cu cn an unload is claimed until, by · vs version of the last shared value
//        n:<node> navigations and requests it holds · p:<page> node that holds it · v:<node> has values of its own there
//   :v:<session>    hash: shared values: name -> "version expiry text"
//   :x:<life>       hash: a session that has ended and is not settled;  :xv:<life> its shared values
//   :gone:<life>    for a minute: that life was ended and settled
//   :r:<life>:<version>   hash: a deleted shared value whose callback has not settled
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
  announce: script(ANNOUNCE),
  leave: script(LEAVE),
}
