import { setImmediate as turn } from 'node:timers/promises'
import { commandFailed, recordDamaged } from './agreement.js'
import { unavailable } from './connection.js'
import {
  type Answers,
  BATCH_SIZE,
  BEAT_INTERVAL,
  type Command,
  type CommandName,
  DEAD_AFTER,
  parseMessage,
} from './protocol.js'
import { type ResyncContext, resync } from './resync.js'
import { type Script, scripts } from './scripts/index.js'
import type { ShardContext } from './shard-context.js'
import { pause, withTimeout } from './timeout.js'

/**
 * One of the parts into which the sessions in Redis are divided. Commands issued in one event-loop tick are sent as one numbered
 * batch. If Redis expects another number, for any reason (Redis restarted, batches lost, this node considered dead), the node
 * sends all its shares again (resync), and continues.
 */
export class Shard {
  readonly tag: string
  readonly #context: ShardContext<Shard>
  #state: 'unavailable' | 'joining' | 'joined' | 'closed' = 'joining'
  #batch = 0
  epoch = ''
  secret = ''
  #queue: Command[] = []
  #lostBatches: { batch: number; commands: Command[] }[] = []
  /** The sessions of commands that were dropped since the resync began. */
  #droppedSessions = new Set<string>()
  readonly #inFlight = new Set<Promise<void>>()
  #isFlushing = false
  #joining = false
  #beating: Promise<void> | undefined
  #beatsAgain = false
  /** How many messages the last heartbeat received. Redis keeps them until the next heartbeat acknowledges them. */
  #received = 0
  #retry: (() => void) | undefined
  #aliveAt = Number.NEGATIVE_INFINITY
  /** When there may be something to claim, and when the next heartbeat is due, on the node's clock. */
  dueAt = Number.POSITIVE_INFINITY
  beatAt = Number.POSITIVE_INFINITY

  constructor(tag: string, context: ShardContext<Shard>) {
    this.tag = tag
    this.#context = context
  }

  /** Sends a command in the batch of this tick. */
  send<N extends CommandName>(command: Command<N>): void {
    if (this.#state === 'unavailable') {
      this.#droppedSessions.add(String(command.args()[1]))
      command.delayed?.()
      command.failed?.(unavailable())
      if (command.failed !== undefined) return
    }
    this.#queue.push(command)
    if (this.#state === 'joined') this.#flushSoon()
  }

  /** Sends a command and resolves with the answer. Rejects while Redis is unavailable. */
  ask<N extends CommandName>(name: N, args: () => unknown[]): Promise<Answers[N]> {
    return new Promise((answered, failed) =>
      this.send<N>({ args: () => [name, ...args()], answered, failed }),
    )
  }

  /** Whether the last heartbeat is recent enough that other nodes consider this node alive. */
  get isAlive(): boolean {
    return this.#context.clock.now() - this.#aliveAt < DEAD_AFTER
  }

  /** Something can be claimed in `delay` milliseconds; -1 means that nothing is known to be due. */
  noteDue(delay: number): void {
    if (delay < 0) return
    const at = this.#context.clock.now() + delay
    // The next heartbeat reports work that is due after it and hasn't been done by then.
    if (at >= this.dueAt || at > this.beatAt) return
    this.dueAt = at
    this.#context.wake()
  }

  /** Sends a heartbeat, and receives the messages of other nodes. */
  async beat(): Promise<void> {
    if (this.#state !== 'joined') return
    this.#beatsAgain = this.#beating !== undefined
    this.#beating ??= this.#beatOnce()
    await this.#beating
  }

  /** Retries now, since Redis may be available again. */
  retry(): void {
    this.#retry?.()
    if (this.#state === 'joining') void this.#join()
    else void this.beat()
  }

  /** Hands this node's shares and work over to the other nodes. */
  async leave(): Promise<void> {
    const wasJoined = this.#state === 'joined'
    this.#flush()
    this.#state = 'closed'
    this.beatAt = this.dueAt = Number.POSITIVE_INFINITY
    this.#retry?.()
    await Promise.all(this.#inFlight)
    this.#failCommands(unavailable())
    if (!wasJoined) return
    const { delays } = this.#context
    for (let left = 1; left > 0; )
      [left] = (await this.#run(scripts.leave, ...delays, String(BATCH_SIZE))) as [number]
  }

  #flushSoon(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#state === 'joined' && this.#queue.length > 0) {
      const sent = this.#send(this.#queue.splice(0, BATCH_SIZE))
      this.#inFlight.add(sent)
      void sent.then(() => this.#inFlight.delete(sent))
    }
  }

  async #send(commands: Command[]): Promise<void> {
    const batch = ++this.#batch
    try {
      const args = commands.map(command => JSON.stringify(command.args()))
      const [outcome, ...answers] = await this.#run(scripts.apply, String(batch), ...args)
      if (outcome === 'OK') {
        for (const [index, command] of commands.entries()) this.#answer(command, answers[index])
        return
      }
      this.#lostBatches.push({ batch, commands })
      void this.#join()
    } catch (error) {
      this.#lostBatches.push({ batch, commands })
      this.#connectionLost(error)
    }
  }

  #answer(command: Command, answer: unknown): void {
    const [outcome, message] = answer as unknown[]
    if (outcome !== 'FAILED') {
      command.answered(answer as Answers[CommandName])
      return
    }
    const error = commandFailed(command.args()[0], String(message))
    this.#context.problem(error)
    command.failed?.(error)
    command.delayed?.()
  }

  async #beatOnce(): Promise<void> {
    try {
      do {
        this.#beatsAgain = false
        const { delays, clock } = this.#context
        const askedAt = clock.now()
        const [outcome, lapse, due, more, messages] = (await this.#run(
          scripts.beat,
          String(DEAD_AFTER),
          String(BATCH_SIZE),
          ...delays,
          String(this.#received),
        )) as [string, number, number, number, string[]]
        if (outcome !== 'OK') {
          void this.#join()
          return
        }
        this.#aliveAt = askedAt
        // Shortly after another node's lease ends; the random part spreads the heartbeats of the nodes.
        const next = lapse < 0 ? BEAT_INTERVAL : Math.min(BEAT_INTERVAL, lapse + 20 + Math.random() * 100)
        this.beatAt = clock.now() + next
        this.noteDue(due)
        this.#received = messages.length
        // Lets the continuations of earlier answers run first.
        if (messages.length > 0) await turn()
        for (const message of messages) this.#receive(message)
        this.#beatsAgain ||= more === 1
      } while (this.#beatsAgain && this.#state === 'joined')
      this.#context.setBeat()
    } catch (error) {
      this.#connectionLost(error)
    } finally {
      this.#beating = undefined
    }
  }

  #receive(text: string): void {
    const message = parseMessage(text)
    if (message !== undefined) this.#context.message(this, message)
    else this.#context.problem(recordDamaged(`${this.tag}:in:${this.#context.node}`))
  }

  /** Redis doesn't answer: commands that can't wait fail. */
  #connectionLost(error: unknown): void {
    if (this.#state === 'closed') return
    this.#failCommands(error)
    void this.#join()
    this.#state = 'unavailable'
    this.#context.onUnavailable(this, error)
  }

  #failCommands(error: unknown): void {
    this.#requeueLost()
    const commands = this.#queue
    this.#queue = commands.filter(({ failed }) => failed === undefined)
    for (const command of commands) {
      command.failed?.(error)
      command.delayed?.()
    }
  }

  /** Puts the commands of lost batches at the front of the queue, in their order. */
  #requeueLost(): void {
    const lost = this.#lostBatches
      .sort((one, other) => one.batch - other.batch)
      .flatMap(({ commands }) => commands)
    this.#lostBatches = []
    this.#queue.unshift(...lost)
  }

  async #join(): Promise<void> {
    if (this.#joining || this.#state === 'closed') return
    this.#joining = true
    if (this.#state === 'joined') this.#state = 'joining'
    this.beatAt = this.dueAt = Number.POSITIVE_INFINITY
    const isOver = () => (this.#state as string) === 'closed'
    for (let tries = 0; ; tries++) {
      await Promise.all(this.#inFlight)
      if (isOver()) return
      try {
        const askedAt = this.#context.clock.now()
        await resync(this.#resyncContext(), (...args) => this.#run(scripts.resync, ...args))
        if (this.#droppedSessions.size > 0) continue
        this.#aliveAt = askedAt
        this.#batch = this.#received = 0
        this.#context.joined(this)
        break
      } catch (error) {
        if (isOver()) return
        this.#state = 'unavailable'
        this.#failCommands(unavailable(error))
        this.#context.onUnavailable(this, error)
        const { over, end } = pause(this.#context.clock, Math.min(100 * 2 ** tries, 1_000))
        this.#retry = end
        await over
      }
    }
    this.#joining = false
    if (isOver()) return
    this.#state = 'joined'
    this.#requeueLost()
    this.#flush()
    void this.beat()
  }

  #resyncContext(): ResyncContext {
    const { secret, delays, clock } = this.#context
    return {
      secret,
      delays,
      clock,
      shares: onlyDropped => {
        const missed = this.#droppedSessions
        this.#droppedSessions = new Set()
        if (onlyDropped && missed.size === 0) return []
        return this.#context.shares(this).filter(([, { key }]) => !onlyDropped || missed.has(key))
      },
      options: JSON.stringify(this.#context.agreedOptions),
      begun: (epoch, sharedSecret, others) => {
        this.epoch = epoch
        this.secret = sharedSecret
        this.#context.compareOptions(others)
      },
      resynced: (share, link, answer) => this.#context.resynced(share, link, this, answer),
    }
  }

  #run(script: Script, ...args: string[]): Promise<unknown[]> {
    const { connection, node, channel, clock } = this.#context
    return withTimeout(clock, connection.run(script, this.tag, [node, channel, ...args]))
  }
}
