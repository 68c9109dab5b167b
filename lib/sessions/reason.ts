/** Why a session was unloaded or ended. */
export type Reason =
  | 'disconnected'
  | 'expired'
  | 'destroyed'
  | 'regenerated'
  | 'evicted'
  | 'ended'
  | 'shutdown'
