export type { ErrorContext } from '../types.js'
