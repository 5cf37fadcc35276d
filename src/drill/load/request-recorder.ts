import { setTimeout as sleep } from 'node:timers/promises'
import { type Failure, LATE_MS, type LoadCounts, noLoad } from '../observations.ts'
import { CookieJar } from './cookie-jar.ts'
import type { CpuWaits } from './cpu-waits.ts'
import { type Address, HttpConnection, NoAnswer } from './http-connection.ts'
import { NumberTally } from './number-tally.ts'
import { type Answer, objectIn } from './parse-answer.ts'
import { type DrillRequest, textOf } from './requests.ts'

/** A slow client pauses between two parts of its request. */
const PART_PAUSE_MS = 150

/** A request that has ended. */
export interface Ended {
  request: DrillRequest
  /** In ms of `performance.now()`. */
  startedAt: number
  endedAt: number
  /** How long it took, without the time in which processes waited for a CPU. */
  ms: number
  answer?: Answer
  failure?: Failure
}

export interface RecorderOptions {
  address: Address
  waits: CpuWaits
  /** A client gives up after this time. */
  timeoutMs: number
  /** No further request should be sent after this number. */
  maxRequests: number
}

/** Sends requests, never twice, and records how each one ends. */
export class RequestRecorder {
  readonly hits = new NumberTally()
  readonly session = new NumberTally()
  /** The cookies of the clients that share one session. */
  readonly sessionJar = new CookieJar()
  /** Called with every request that has ended. */
  onEnded: ((ended: Ended) => void) | undefined
  /** The slowest answer of each request in {@link RequestRecorder.begin} with `isRest`. */
  readonly restMs = new Map<DrillRequest, number>()
  readonly #options: RecorderOptions
  #counts = noLoad()
  #isRest = false
  /** The beginnings of the requests in flight. */
  readonly #inFlight = new Set<{ at: number }>()
  #started = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /** Whether the number of requests has been reached. */
  get isExhausted(): boolean {
    return this.#started >= this.#options.maxRequests
  }

  /** Sends one request on a connection of its own. @throws NoAnswer */
  async sendOnce(request: DrillRequest, jar?: CookieJar): Promise<Answer> {
    const connection = await this.open()
    return this.send(connection, request, jar).finally(() => connection.close())
  }

  /** Whether every request has ended that began before a moment. */
  haveEnded(before: number): boolean {
    return [...this.#inFlight].every(({ at }) => at >= before)
  }

  /** Counts the requests that end from now on apart. @param isRest their times are what the requests need without a fault */
  begin(isRest = false): LoadCounts {
    this.#counts = noLoad()
    this.#isRest = isRest
    return this.#counts
  }

  /** Notes a connection that the service closed between two requests. */
  closedIdle(): void {
    this.#counts.closed++
  }

  /**
   * Sends one request and counts how it ends.
   * @param jar its cookies are sent, and those of the answer are stored; {@link RequestRecorder.sessionJar} also counts for the session
   * @throws NoAnswer
   */
  async send(connection: HttpConnection, request: DrillRequest, jar = new CookieJar(), parts = 1): Promise<Answer> {
    const { waits } = this.#options
    const isRest = this.#isRest
    this.#started++
    const ended = { request, startedAt: performance.now(), endedAt: 0, ms: 0 }
    const begun = { at: ended.startedAt }
    this.#inFlight.add(begun)
    const measure = () => {
      ended.endedAt = performance.now()
      ended.ms = ended.endedAt - ended.startedAt - waits.between(ended.startedAt, ended.endedAt)
    }
    const awaited = connection.answer()
    // It is awaited below, and may be rejected before that.
    awaited.catch(() => {})
    try {
      await write(connection, textOf(request, jar.toString()), parts)
      // The pauses of a slow client are no delay of the service.
      ended.startedAt = performance.now()
      const answer = await awaited
      measure()
      jar.store(answer)
      this.#count({ ...ended, answer }, jar === this.sessionJar)
      if (isRest) this.restMs.set(request, Math.max(this.restMs.get(request) ?? 0, ended.ms))
      return answer
    } catch (error) {
      measure()
      const failure = error instanceof NoAnswer ? error.failure : 'cut'
      this.#count({ ...ended, failure }, jar === this.sessionJar)
      throw error
    } finally {
      this.#inFlight.delete(begun)
    }
  }

  /** @throws NoAnswer */
  open(): Promise<HttpConnection> {
    return HttpConnection.open(this.#options.address, this.#options.timeoutMs)
  }

  /** A connection that cannot be opened is a failed request. */
  async connect(): Promise<HttpConnection> {
    const counts = this.#counts
    try {
      return await this.open()
    } catch (error) {
      counts.failed.refused = (counts.failed.refused ?? 0) + 1
      throw error
    }
  }

  #count(ended: Ended, ofSession: boolean): void {
    const counts = this.#counts
    const { request, ms, answer } = ended
    const failure = ended.failure ?? failureOf(answer!)
    if (failure !== undefined) counts.failed[failure] = (counts.failed[failure] ?? 0) + 1
    else {
      counts.answered++
      counts.slowestMs = Math.max(counts.slowestMs, ms)
      if (ms > LATE_MS) counts.late++
    }
    if (request.counts !== undefined) tally(this.hits, answer, failure, request.counts)
    if (request.session !== undefined && ofSession) tally(this.session, answer, failure, request.session)
    this.onEnded?.(ended)
  }
}

async function write(connection: HttpConnection, text: string, parts: number): Promise<void> {
  const size = Math.ceil(text.length / parts)
  for (let at = 0; at < text.length; at += size) {
    if (at > 0) await sleep(PART_PAUSE_MS)
    connection.write(text.slice(at, at + size))
  }
}

/** @returns why an answer counts as a failure; undefined for a good one */
export const failureOf = ({ status }: Answer): Failure | undefined =>
  status >= 500 || status === 429 ? `status ${status}` : undefined

function tally(numbers: NumberTally, answer: Answer | undefined, failure: Failure | undefined, field: string): void {
  const value = answer && failure === undefined ? objectIn(answer)?.[field] : undefined
  if (typeof value === 'number') numbers.answer(value)
  else if (failure !== undefined) numbers.failure()
}
