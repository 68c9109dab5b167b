import { type Clock, MAX_TIMEOUT } from './clock.js'
import { OwnContext } from './own-context.js'
import { Pace } from './time-slice.js'
import { TimerWheel, WheelNode } from './timer-wheel.js'

/** A callback with a deadline on the monotonic clock. Can be scheduled again, which moves the deadline. */
export interface Due extends WheelNode {
  run(): void
}

/** A function with a deadline. */
export class Deadline extends WheelNode implements Due {
  readonly run: () => void

  constructor(run: () => void) {
    super()
    this.run = run
  }
}

/** Another source of due work, such as the sessions. */
export interface DueSource {
  nextDue(): number | undefined
  /** Does what is due, in at most `limit` steps. Called again while there is time. */
  work(limit: number): void
}

/**
 * One timer for everything that is due in an instance. It stands at the earliest deadline or before; work is done in
 * slices, between which the event loop is free, and in the instance's own context, whoever set the timer.
 */
export class Deadlines {
  readonly context = new OwnContext()
  readonly #clock: Clock
  readonly #wheel = new TimerWheel<Due>()
  readonly #sources: DueSource[]
  #timerAt = Number.POSITIVE_INFINITY
  #cancelTimer: () => void = () => {}
  readonly #pace = new Pace()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sources = [
      {
        nextDue: () => this.#wheel.next(),
        work: limit => this.#wheel.expire(this.#clock.now(), limit, deadline => deadline.run()),
      },
    ]
  }

  /** Milliseconds on the monotonic clock. */
  get now(): number {
    return this.#clock.now()
  }

  /** How many deadlines are scheduled. */
  get size(): number {
    return this.#wheel.size
  }

  /** Adds a source of due work, which calls {@link wake} when its next due time becomes earlier. */
  add(source: DueSource): void {
    this.#sources.push(source)
  }

  /** Schedules the deadline in `ms` milliseconds. One that is already scheduled moves. */
  schedule(deadline: Due, ms: number): void {
    this.#wheel.schedule(deadline, this.#clock.now() + ms)
    this.wake()
  }

  cancel(deadline: Due): void {
    this.#wheel.cancel(deadline)
  }

  /**
   * Brings the timer forward when something is due before it. It is never put back: a timer that finds nothing due
   * costs less than one that is set anew with each request.
   */
  wake(): void {
    const due = this.#nextDue()
    if (due >= this.#timerAt) return
    this.#cancelTimer()
    this.#timerAt = due
    const delay = Math.min(Math.max(due - this.#clock.now(), 0), MAX_TIMEOUT)
    this.#cancelTimer = this.#clock.setTimer(() => this.context.run(() => this.#work()), delay)
  }

  /** Runs `task`, which must not reject, each `ms` after it has settled, until the given function is called. */
  every(ms: number, task: () => Promise<unknown>): () => void {
    let isOn = true
    const deadline = new Deadline(() => {
      void task().then(() => {
        if (isOn) this.schedule(deadline, ms)
      })
    })
    this.schedule(deadline, ms)
    return () => {
      isOn = false
      this.cancel(deadline)
    }
  }

  /** Resolves after `ms`. */
  pause(ms: number): Promise<void> {
    return new Promise(resolve => this.schedule(new Deadline(resolve), ms))
  }

  /** Resolves when `promise`, which must not reject, does, or with `false` after `ms`. */
  within(promise: Promise<unknown>, ms: number): Promise<boolean> {
    return new Promise(resolve => {
      const deadline = new Deadline(() => resolve(false))
      this.schedule(deadline, ms)
      void promise.then(() => {
        this.cancel(deadline)
        resolve(true)
      })
    })
  }

  /** Drops a timer that was left standing for what has been cancelled since. */
  settle(): void {
    this.#cancelTimer()
    this.#timerAt = Number.POSITIVE_INFINITY
    this.wake()
  }

  #work(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    this.#pace.begin(this.#clock.now())
    try {
      while (this.#pace.allows(this.#clock.now()) && this.#round());
    } finally {
      this.wake()
      this.#pace.end(this.#timerAt > this.#clock.now())
    }
  }

  /** @returns whether anything was due */
  #round(): boolean {
    let wasDue = false
    for (const source of this.#sources) {
      if ((source.nextDue() ?? Number.POSITIVE_INFINITY) > this.#clock.now()) continue
      source.work(ROUND)
      wasDue = true
    }
    return wasDue
  }

  #nextDue(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const source of this.#sources) {
      const due = source.nextDue()
      if (due !== undefined && due < earliest) earliest = due
    }
    return earliest
  }
}

/** Steps between two looks at the clock. */
const ROUND = 32
