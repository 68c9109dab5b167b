export type { Reason } from '../types.js'
