// What docs/api.md describes: the exports of all entries of the package.

export * from '../lib/client/index.js'
export * from '../lib/cluster/redis/index.js'
export * from '../lib/http/koa.js'
export * from '../lib/index.js'
export * from '../lib/metrics/index.js'
export * from '../lib/testing/index.js'
