import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ReloadOutcome } from '../../admin/command-context.ts'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { RolloutRecord } from '../../ipc/host-messages.ts'
import type { ReloadRequest } from '../policy/trial-types.ts'
import type { AskHosts } from './ask-hosts.ts'
import { HeldLease } from './held-lease.ts'
import { describeWait, recordOf, refusalOf, TURN_TIMES, type TurnTimes } from './turn-rules.ts'

export interface RolloutTurnsOptions {
  host: string
  /** Identifies this host: see {@link HostReport.id}. */
  id: string
  ask: AskHosts
  /** Returns the id of the release on disk. @throws Error when it cannot be read */
  release: () => string
  /** Rolls out what is on disk, and calls `onHeld` when the rollout waits for an operator. Resolves when it has ended. */
  roll: (request: ReloadRequest, onHeld: (outcome: ReloadOutcome) => void) => Promise<ReloadOutcome>
  /** Makes the rollout in progress fail. */
  fail: (cause: string) => void
  /** Returns the generation that serves. */
  generation: () => number
  isStopping: () => boolean
  /** Called when a rollout begins to ask for its turn. */
  onRequested: () => void
  /** Called with the outcome of a rollout that was refused. */
  onRefused: (outcome: ReloadOutcome) => void
  journal: (event: JournalEvent) => void
  log: Pick<Logger, 'info' | 'warn' | 'error'>
  times?: TurnTimes
}

/** One request for a rollout, from its arrival to its end. */
interface Turn {
  request: ReloadRequest
  forced: boolean
  startedAt: number
  /** What the rollout waits for; undefined before the first answer of Redis. */
  why?: string
  /** It rolls out, or is refused: a release that is deployed from now on needs another turn. */
  isDecided: boolean
  /** Resolves callers when the rollout waits for an operator. */
  onHeld: (outcome: ReloadOutcome) => void
}

/** A turn, and what its callers wait for: its end, or that it waits for an operator. */
interface Running {
  turn: Turn
  ended: Promise<unknown>
  answer: Promise<ReloadOutcome>
}

/** The right to roll out now. Without a `fence` there is no lease: the rollout was forced while Redis was away. */
interface Grant {
  record: RolloutRecord
  token: string
  fence?: number
  askedAt: number
}

/** Takes turns with other hosts: a rollout begins when this host has the lease in Redis, and no other host failed with its release. */
export class RolloutTurns {
  readonly #options: RolloutTurnsOptions
  readonly #times: TurnTimes
  #current: Running | undefined
  #next: { request: ReloadRequest; forced: boolean; answer: Promise<ReloadOutcome> } | undefined
  /** The end of a rollout that Redis has not stored yet. */
  #unrecorded: { record: RolloutRecord; token: string; fence: number } | undefined

  constructor(options: RolloutTurnsOptions) {
    this.#options = options
    this.#times = options.times ?? TURN_TIMES
  }

  /** What the next rollout waits for, and for how long. */
  get waits(): { seconds: number; why: string } | undefined {
    const { isDecided, startedAt, why } = this.#current?.turn ?? {}
    if (startedAt === undefined || isDecided || why === undefined) return undefined
    return { seconds: Math.round((performance.now() - startedAt) / 1000), why }
  }

  /**
   * Rolls out what is on disk when it is this host's turn. Resolves when the rollout has ended, or is refused. A rollout that waits is
   * joined, since it will read the disk later; one in progress is followed by another turn.
   * @param join whether to wait for a rollout in progress instead
   * @param forced ignores that another host failed with the release, and needs no lease while Redis is away
   */
  async reload(join: boolean, request: ReloadRequest, forced: boolean): Promise<ReloadOutcome> {
    const joins = this.#current !== undefined
    const { turn, ended, answer } = this.#current ?? this.#start(request, forced)
    if (turn.isDecided && !join) return this.#follow(ended, request, forced)
    turn.forced ||= forced
    turn.request = { ...turn.request, ...request }
    return joins ? { ...(await answer), joined: true } : answer
  }

  /** Requests another turn after the one in progress. */
  #follow(ended: Promise<unknown>, request: ReloadRequest, forced: boolean): Promise<ReloadOutcome> {
    const next = (this.#next ??= { request, forced, answer: ended.then(() => this.#startNext()) })
    next.forced ||= forced
    next.request = { ...next.request, ...request }
    return next.answer
  }

  #startNext(): Promise<ReloadOutcome> {
    const { request, forced } = this.#next!
    this.#next = undefined
    return this.reload(false, request, forced)
  }

  #start(request: ReloadRequest, forced: boolean): Running {
    this.#options.onRequested()
    const turn: Turn = { request, forced, startedAt: performance.now(), isDecided: false, onHeld: () => {} }
    const held = new Promise<ReloadOutcome>((resolve) => {
      turn.onHeld = resolve
    })
    const ended = this.#run(turn).finally(() => {
      this.#current = undefined
    })
    this.#current = { turn, ended, answer: Promise.race([ended, held]) }
    return this.#current
  }

  async #run(turn: Turn): Promise<ReloadOutcome> {
    const grant = await this.#waitForTurn(turn)
    if ('outcome' in grant) return grant
    turn.isDecided = true
    let lost = false
    const lease = grant.fence === undefined ? undefined : this.#hold(grant, () => void (lost = true))
    const outcome = await this.#options.roll(turn.request, turn.onHeld).finally(() => lease?.end())
    if (grant.fence !== undefined) {
      this.#unrecorded = { ...grant, fence: grant.fence, record: recordOf(grant.record, outcome, lost) }
      await this.#recordEnd().catch((error: Error) => this.#recordLater(error))
    }
    return outcome
  }

  async #waitForTurn(turn: Turn): Promise<Grant | ReloadOutcome> {
    const { ask, isStopping } = this.#options
    const token = randomUUID()
    let ticket = 0
    let awaySince: number | undefined
    for (;;) {
      if (isStopping()) return this.#end(turn, 'stopped', 'the service stops')
      const askedAt = performance.now()
      try {
        await this.#recordEnd()
        const answer = await ask('rollout-take', { token, ticket, ttlMs: this.#times.leaseMs })
        awaySince = undefined
        ticket = answer.ticket
        if (answer.fence > 0) {
          const release = this.#release()
          const why = turn.forced ? undefined : refusalOf(answer.last, release)
          if (why !== undefined) return await this.#refuse(turn, token, why)
          const record = this.#recordFor(release)
          // Another host has the lease by now if it has written a record since.
          if (await ask('rollout-record', { record, fence: answer.fence })) {
            return this.#grant({ record, token, fence: answer.fence, askedAt })
          }
        } else this.#wait(turn, describeWait(answer))
      } catch (error) {
        const why = (error as Error).message
        awaySince ??= askedAt
        const awayMs = performance.now() - awaySince
        if (turn.forced && awayMs >= this.#times.forcedAwayMs) return this.#goWithoutLease(why)
        if (awayMs >= this.#times.maxAwayMs) {
          return this.#refuse(
            turn,
            token,
            `${why}, so whose turn it is cannot be known: try again, or \`muster reload --force\``
          )
        }
        this.#wait(turn, why)
      }
      await sleep(this.#times.pollMs)
    }
  }

  #grant(grant: Grant): Grant {
    const { log, journal } = this.#options
    log.info({ release: grant.record.release, fence: grant.fence }, 'rollout has its turn')
    journal({ event: 'reload has its turn', release: grant.record.release })
    return grant
  }

  #goWithoutLease(why: string): Grant {
    this.#options.log.warn({ why }, 'rollout without a lease')
    this.#options.journal({ event: 'reload without a lease', why })
    return { record: this.#recordFor(this.#release()), token: '', askedAt: 0 }
  }

  #wait(turn: Turn, why: string): void {
    if (turn.why === why) return
    turn.why = why
    this.#options.log.info({ why }, 'rollout waits for its turn')
    this.#options.journal({ event: 'reload waits', why })
  }

  async #refuse(turn: Turn, token: string, why: string): Promise<ReloadOutcome> {
    turn.isDecided = true
    this.#options.log.error({ why }, 'rollout refused')
    // A lease that cannot be released now ends by itself.
    await this.#options.ask('rollout-release', { token }).catch(() => {})
    const outcome = this.#end(turn, 'refused', why)
    this.#options.onRefused(outcome)
    return outcome
  }

  #end({ startedAt }: Turn, outcome: 'refused' | 'stopped', why: string): ReloadOutcome {
    const { journal, generation } = this.#options
    const ended = { outcome, generation: generation(), durationMs: Math.round(performance.now() - startedAt), why }
    journal({ event: `reload ${outcome}`, ...ended })
    return ended
  }

  #hold({ token, askedAt }: Grant, onLost: () => void): HeldLease {
    const { ask, fail, log, journal } = this.#options
    return new HeldLease({
      times: this.#times,
      askedAt,
      renew: () => ask('rollout-renew', { token }),
      onLost: (why) => {
        onLost()
        log.error({ why }, 'rollout lease lost')
        journal({ event: 'reload lease lost', why })
        fail(why)
      }
    })
  }

  /** Stores how the last rollout ended, unless that is done. @throws Error when Redis cannot be asked */
  async #recordEnd(): Promise<void> {
    const unrecorded = this.#unrecorded
    if (!unrecorded) return
    const { record, token, fence } = unrecorded
    const isStored = await this.#options.ask('rollout-record', { record, fence })
    await this.#options.ask('rollout-release', { token })
    if (this.#unrecorded !== unrecorded) return
    this.#unrecorded = undefined
    const { release, state } = record
    this.#options.log.info({ release, state, ...(!isStored && { superseded: true }) }, 'rollout outcome recorded')
  }

  /** Until the outcome is stored, other hosts refuse the release: the rollout may have killed this host. */
  #recordLater(error: Error): void {
    const { log, isStopping } = this.#options
    const unrecorded = this.#unrecorded
    log.warn({ why: error.message }, 'rollout outcome not recorded yet')
    const retry = async () => {
      while (this.#unrecorded === unrecorded && !isStopping()) {
        await sleep(this.#times.pollMs, undefined, { ref: false })
        await this.#recordEnd().catch(() => {})
      }
    }
    void retry()
  }

  #release(): string | undefined {
    try {
      return this.#options.release()
    } catch {
      return undefined
    }
  }

  #recordFor(release = 'unreadable'): RolloutRecord {
    const { host, id } = this.#options
    return { state: 'rolling', release, host, id }
  }
}
