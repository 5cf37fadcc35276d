import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Logger } from '../../common/log.ts'
import type { ServiceView } from '../../ipc/messages.ts'
import type { RolloutOutcome } from '../rollout/rollout.ts'
import type { Supervisor } from '../workers/supervisor.ts'

const run = promisify(execFile)

/** Assignments that go together, as sd_notify(3) names them: "READY=1", "STATUS=running: …". */
export type Message = readonly string[]

export interface SystemdOptions {
  /** $NOTIFY_SOCKET. */
  socket: string
  /** A PATH to find `systemd-notify` on. */
  searchPath: string
  /** How long systemd waits for a sign of life, in ms; undefined: it waits for none. */
  watchdogMs: number | undefined
  /** Whether a sign of life may be given: a primary whose workers do not come up is worth a restart. */
  healthy: () => boolean
  log: Logger
}

/** systemd-notify waits 5 s at most until its message was read. */
const PATIENCE_MS = 10_000
const MAX_STATUS = 500
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Tells systemd how the service is: READY, RELOADING, STOPPING, STATUS and, in half of its time, WATCHDOG. Node has no
 * Unix datagrams, so each message is a run of `systemd-notify`; the unit needs NotifyAccess=all for that.
 */
export function tellSystemd(supervisor: Supervisor, options: SystemdOptions): void {
  const bulletin = new Bulletin()
  const notifier = new Notifier(options)
  supervisor.on('change', (view) => notifier.send(...bulletin.changed(view, process.hrtime.bigint() / 1000n)))
  supervisor.on('rollout', (outcome) => notifier.send(...bulletin.rolled(outcome, supervisor.view())))
  if (options.watchdogMs === undefined) return
  let due = false
  const beat = () => {
    // Once it drains, workers are supposed to leave.
    if (!due || (supervisor.state.phase === 'running' && !options.healthy())) return
    due = false
    notifier.send(['WATCHDOG=1'])
  }
  // A sign that was due when the service was not healthy is given as soon as it is, not half a time later.
  supervisor.on('change', beat)
  const tick = () => {
    supervisor.reconcile()
    due = true
    beat()
  }
  setInterval(tick, Math.min(options.watchdogMs / 2, MAX_TIMER_MS)).unref()
}

/** What to say after what was said already; pure. */
export class Bulletin {
  #ready = false
  #reloading = false
  #stopping = false
  #failure = ''
  #status = ''

  /** @param monotonicMicros CLOCK_MONOTONIC: systemd takes only a reload that began after its own SIGHUP for the answer to it */
  changed(view: ServiceView, monotonicMicros: bigint): Message[] {
    const messages: string[][] = []
    if (view.state === 'draining') {
      if (!this.#stopping) messages.push(['STOPPING=1'])
      this.#stopping = true
    } else if (!this.#ready && readySlots(view) === view.desired) {
      messages.push(['READY=1'])
      this.#ready = true
    }
    if (this.#ready && !this.#reloading && view.state === 'reloading') {
      messages.push(['RELOADING=1', `MONOTONIC_USEC=${monotonicMicros}`])
      this.#reloading = true
      this.#failure = ''
    }
    return this.#withStatus(messages, view)
  }

  /** A roll has ended. One that follows at once is a reload of its own: a SIGHUP that came during the first waits for it. */
  rolled({ outcome, why = '' }: Pick<RolloutOutcome, 'outcome' | 'why'>, view: ServiceView): Message[] {
    this.#failure = outcome === 'failed' ? why : ''
    if (!this.#reloading || view.state === 'draining') return []
    this.#reloading = false
    return this.#withStatus([['READY=1']], view)
  }

  #withStatus(messages: string[][], view: ServiceView): Message[] {
    const status = `STATUS=${statusText(view, this.#failure)}`
    if (messages.length === 0 && status === this.#status) return []
    this.#status = status
    return [...messages.slice(0, -1), [...(messages.at(-1) ?? []), status]]
  }
}

/** Wanted slots that a ready worker serves. */
export function readySlots({ workers, desired }: ServiceView): number {
  return new Set(workers.flatMap(({ slot, status }) => (status === 'ready' && slot < desired ? slot : []))).size
}

/** One line for people. @param failure why the last reload failed, or "" */
function statusText(view: ServiceView, failure: string): string {
  const ready = view.workers.filter(({ status }) => status === 'ready')
  const generations = [...new Set(ready.map(({ generation }) => generation))].sort((a, b) => a - b)
  const parts = [`${view.state}: ${readySlots(view)} of ${view.desired} workers ready`]
  if (generations.length > 0) parts.push(`generation ${generations.join(' and ')}`)
  if (ready.length > 0 && !view.redis) parts.push('Redis away')
  const text = parts.join(', ') + (failure && `; the last reload failed: ${failure}`)
  // A line end would begin another assignment.
  return text.replace(/[\s\p{Cc}]+/gu, ' ').slice(0, MAX_STATUS)
}

/** Puts a message behind those that wait: of several texts only the newest counts, of several signs of life one. */
export function enqueue(waiting: readonly Message[], message: Message): Message[] {
  const kinds = new Set(message.map(kindOf))
  const replaced = (assignment: string) => /^(STATUS|WATCHDOG)=/.test(assignment) && kinds.has(kindOf(assignment))
  const kept = waiting.map((one) => one.filter((assignment) => !replaced(assignment)))
  return [...kept.filter((one) => one.length > 0), message]
}

const kindOf = (assignment: string) => assignment.split('=', 1)[0]

/** One message after the other. That systemd cannot be told is said once, and changes nothing else. */
class Notifier {
  readonly #options: SystemdOptions
  #waiting: Message[] = []
  #sending = false
  #warned = false

  constructor(options: SystemdOptions) {
    this.#options = options
  }

  send(...messages: Message[]): void {
    for (const message of messages) this.#waiting = enqueue(this.#waiting, message)
    if (!this.#sending) void this.#sendAll()
  }

  async #sendAll(): Promise<void> {
    this.#sending = true
    for (let message = this.#waiting.shift(); message; message = this.#waiting.shift()) await this.#sendOne(message)
    this.#sending = false
  }

  async #sendOne(message: Message): Promise<void> {
    const { socket, searchPath, log } = this.#options
    const env = { NOTIFY_SOCKET: socket, PATH: searchPath }
    try {
      await run('systemd-notify', [`--pid=${process.pid}`, ...message], { env, timeout: PATIENCE_MS })
    } catch (error) {
      if (!this.#warned) log.warn({ err: error }, 'systemd cannot be told how the service is')
      this.#warned = true
    }
  }
}
