import type { Claim, Engine } from '../../lib/index.ts'

/** The same engine as one that is far away: what it is asked is done later, one after the other, and answered later. */
export function asyncEngine(engine: Engine): Engine {
  let line: Promise<unknown> = Promise.resolve()

  function later<T>(ask: () => T): Promise<Awaited<T>> {
    const answer = line.then(ask)
    line = answer.then(
      () => {},
      () => {},
    )
    return answer as Promise<Awaited<T>>
  }

  return {
    start: events => later(() => engine.start(events)),
    open: (token, holder, arrival) => later(() => engine.open(token, holder, arrival)),
    release: (token, holder, departure) => later(() => engine.release(token, holder, departure)),
    end: (token, life, reason) => later(() => engine.end(token, life, reason)),
    nextDue: () => engine.nextDue(),
    claim: limit => later(() => engine.claim(limit)),
    renew: (claim: Claim) => later(() => engine.renew(claim)),
    settle: (claim: Claim) => later(() => engine.settle(claim)),
    close: () => later(() => engine.close()),
  }
}
