import type { Claim, Engine } from '../../lib/index.ts'

/**
 * The same engine as one that is far away: what it is asked in one turn goes out together, is done in its order, and is
 * answered together.
 */
export function asyncEngine(engine: Engine): Engine {
  let asked: (() => void)[] = []

  function answerAll(): void {
    const all = asked
    asked = []
    for (const answer of all) answer()
  }

  function later<T>(ask: () => T): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      asked.push(() => {
        try {
          resolve(ask() as Awaited<T>)
        } catch (error) {
          reject(error)
        }
      })
      if (asked.length === 1) queueMicrotask(() => queueMicrotask(answerAll))
    })
  }

  return {
    isShared: false,
    secret: engine.secret,
    values: engine.values,
    goodbye: (token, page, epoch) => later(() => engine.goodbye(token, page, epoch)),
    start: (events, context) => later(() => engine.start(events, context)),
    open: (token, holder, arrival) => later(() => engine.open(token, holder, arrival)),
    release: (token, holder, departure) => later(() => engine.release(token, holder, departure)),
    end: (token, life, reason) => later(() => engine.end(token, life, reason)),
    expire: (token, life, endIn) => later(() => engine.expire(token, life, endIn)),
    nextDue: () => engine.nextDue(),
    claim: limit => later(() => engine.claim(limit)),
    renew: (claim: Claim) => later(() => engine.renew(claim)),
    settle: (claim: Claim) => later(() => engine.settle(claim)),
    close: () => later(() => engine.close()),
  }
}
