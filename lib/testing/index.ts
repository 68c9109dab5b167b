export type { VisitedApp } from './app-server.js'
export { type FakeClock, fakeClock } from './fake-clock.js'
export { type TestPage, type TestPageOptions, type Visitor, visitor } from './visitor.js'
