import { type Clock, MAX_TIMEOUT } from './clock.js'
import { OwnContext } from './own-context.js'
import { SliceLimiter } from './time-slice.js'
import { TimerWheel, WheelNode } from './timer-wheel.js'

/** A callback with a deadline on the monotonic clock. Scheduling it again moves the deadline. */
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

/** A further source of due work, such as the sessions. */
export interface DueSource {
  nextDue(): number | undefined
  /** Does due work in at most `limit` steps. Called again if more is due and the time slice isn't over. */
  work(limit: number): void
}

/**
 * Runs all due work of an instance with one timer, which is set to the earliest deadline or earlier. Work runs in time slices, so
 * that it doesn't block the event loop, and in the instance's own async context, not in that of the request that set the timer.
 */
export class Deadlines {
  readonly context = new OwnContext()
  readonly #clock: Clock
  readonly #wheel = new TimerWheel<Due>()
  readonly #sources: DueSource[]
  #timerAt = Number.POSITIVE_INFINITY
  #cancelTimer: () => void = () => {}
  readonly #slices = new SliceLimiter()

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

  /** The number of scheduled deadlines. */
  get size(): number {
    return this.#wheel.size
  }

  /** Adds a source of due work. It has to call {@link wake} when its next due time becomes earlier. */
  add(source: DueSource): void {
    this.#sources.push(source)
  }

  /** Schedules the deadline in `ms` milliseconds, or moves it there if it is scheduled. */
  schedule(deadline: Due, ms: number): void {
    this.#wheel.schedule(deadline, this.#clock.now() + ms)
    this.wake()
  }

  cancel(deadline: Due): void {
    this.#wheel.cancel(deadline)
  }

  /**
   * Sets the timer earlier if work is due before it fires. It is never set later: a timer that fires with nothing due costs
   * less than setting it again with each request.
   */
  wake(): void {
    const due = this.#nextDue()
    if (due >= this.#timerAt) return
    this.#cancelTimer()
    this.#timerAt = due
    const delay = Math.min(Math.max(due - this.#clock.now(), 0), MAX_TIMEOUT)
    this.#cancelTimer = this.#clock.setTimer(() => this.context.run(() => this.#work()), delay)
  }

  /** Runs `task`, which must not reject, after `ms`, and again `ms` after each run has finished. @returns a function that stops this */
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

  /** Resolves with `true` when `promise`, which must not reject, resolves, or with `false` after `ms`. */
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

  /** Sets the timer to the earliest deadline, even if that is later: cancelling a deadline leaves the timer as it was. */
  resetTimer(): void {
    this.#cancelTimer()
    this.#timerAt = Number.POSITIVE_INFINITY
    this.wake()
  }

  #work(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    this.#slices.begin(this.#clock.now())
    try {
      while (this.#slices.allows(this.#clock.now()) && this.#round());
    } finally {
      this.wake()
      this.#slices.end(this.#timerAt > this.#clock.now())
    }
  }

  /** @returns whether anything was due */
  #round(): boolean {
    let wasDue = false
    for (const source of this.#sources) {
      if ((source.nextDue() ?? Number.POSITIVE_INFINITY) > this.#clock.now()) continue
      source.work(STEPS_PER_ROUND)
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

/** Steps between two checks of the clock. */
const STEPS_PER_ROUND = 32
