import type { SessionState } from './session-state.js'

/** The state of the user who sent the request: `req.gradioState`. Free until used: a request that doesn't use it leaves no trace. */
export interface RequestState extends SessionState {
  /**
   * Sees to it that this browser's next requests come to this session, even while this answer is still being
   * written: await it before the first use in a handler that streams, or where a page is rendered whose script will send
   * requests in parallel.
   * @throws GradioStateError `HEADERS_SENT` when the browser can't be told of the session any more
   */
  establish(): Promise<void>
}
