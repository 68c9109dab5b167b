/** What each suite is about. Its file has the same name. */
export const SUITES: Readonly<Record<string, string>> = {
  request: 'An Express 5 app with express-session: what the middleware adds to a request',
  attach: 'The middleware alone, without HTTP',
  memory: 'What an idle session with one value keeps in memory',
  expiry: 'A million values that are due within one second, with a callback each',
  idle: 'What 100,000 sessions cost while nothing happens',
  upload: "Into the session's cache (hashed, counted), and as multer alone does it (neither)",
  heartbeat: 'Ten thousand open pages',
  storm: 'Ten thousand pages that are closed at once, with an unload hook',
  restart: 'Ten thousand pages whose server is killed and comes back',
  sweep: 'A hundred thousand files that have come of age, among as many that have not',
  start: 'What an app pays before its first request',
  timers: 'Schedule, move and cancel 100,000 deadlines within an hour',
  redis: 'Sessions on a real Redis',
  growth: 'How each cost grows with the number of sessions',
}
