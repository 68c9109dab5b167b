/** A description of each suite. Its file has the same name. */
export const SUITES: Readonly<Record<string, string>> = {
  request: 'An Express 5 app with express-session: what the middleware adds to a request',
  attach: 'The middleware alone, without HTTP',
  memory: 'The memory of an idle session with one value',
  expiry: 'A million values that expire at the same moment, with a callback each',
  idle: 'The CPU time of 100,000 idle sessions',
  upload: 'Uploads to gradio-state (hashed, limited) and to multer.diskStorage (neither)',
  heartbeat: 'Ten thousand open pages',
  storm: 'Ten thousand pages that close at the same time, with an unload hook',
  restart: 'Ten thousand pages whose server is killed and restarted',
  sweep: 'Deleting 50,000 old files among 100,000',
  start: 'The time to import the package',
  timers: 'Schedule, move and cancel 100,000 deadlines within an hour',
  redis: 'Sessions on a real Redis',
  growth: 'How each cost grows with the number of sessions',
}
