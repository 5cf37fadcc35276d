import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ReloadOutcome } from '../../admin/command-context.ts'
import type { Logger } from '../../common/log.ts'
import type { ServiceView } from '../../ipc/messages.ts'
import type { Supervisor } from '../workers/supervisor.ts'

const run = promisify(execFile)

/** Assignments of one notification, as in sd_notify(3): "READY=1", "STATUS=running: …". */
export type Message = readonly string[]

export interface SystemdOptions {
  /** $NOTIFY_SOCKET. */
  socket: string
  /** Where `systemd-notify` is searched, in the form of the PATH variable. */
  searchPath: string
  /** systemd restarts the service after this many ms without a keep-alive; undefined: no watchdog. */
  watchdogMs: number | undefined
  /** Whether a keep-alive may be sent. A primary whose workers do not become ready is worth a restart. */
  healthy: () => boolean
  log: Logger
}

/** systemd-notify itself waits up to 5 s until its message was read. */
const TIMEOUT_MS = 10_000
const MAX_STATUS = 500
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Notifies systemd about the state of the service: READY, RELOADING, STOPPING, STATUS and, twice per watchdog interval,
 * WATCHDOG. Node has no Unix datagram sockets, so each notification is a run of `systemd-notify`, for which the unit needs
 * NotifyAccess=all. Each names this process as the main one.
 * @returns a function that ends the notifications, and resolves when none is under way
 */
export function notifySystemd(supervisor: Supervisor, options: SystemdOptions): () => Promise<void> {
  const messages = new SystemdMessages()
  const notifier = new Notifier(options)
  const onChange = (view: ServiceView) => notifier.send(...messages.changed(view, process.hrtime.bigint() / 1000n))
  supervisor.on('change', onChange)
  supervisor.on('rollout', (outcome) => notifier.send(...messages.rolloutEnded(outcome, supervisor.view())))
  supervisor.on('turn-requested', () =>
    notifier.send(...messages.turnRequested(supervisor.view(), process.hrtime.bigint() / 1000n))
  )
  supervisor.on('turn-refused', (outcome) => notifier.send(...messages.rolloutEnded(outcome, supervisor.view())))
  onChange(supervisor.view())
  if (options.watchdogMs !== undefined) watch(supervisor, options, options.watchdogMs, notifier)
  return () => notifier.end()
}

function watch(supervisor: Supervisor, options: SystemdOptions, watchdogMs: number, notifier: Notifier): void {
  let due = false
  const sendKeepAlive = () => {
    // A draining service has fewer and fewer workers.
    if (!due || (supervisor.state.phase === 'running' && !options.healthy())) return
    due = false
    notifier.send(['WATCHDOG=1'])
  }
  // A keep-alive that was due while the service was not healthy is sent as soon as it is healthy again.
  supervisor.on('change', sendKeepAlive)
  const tick = () => {
    supervisor.reconcile()
    due = true
    sendKeepAlive()
  }
  setInterval(tick, Math.min(watchdogMs / 2, MAX_TIMER_MS)).unref()
}

/** Computes the notifications that follow from the state and from those sent before. Pure. */
export class SystemdMessages {
  #ready = false
  #reloading = false
  #stopping = false
  #upgrading = false
  #failure = ''
  #status = ''

  /** @param monotonicMicros CLOCK_MONOTONIC in µs. systemd ignores a reload that began before its own SIGHUP */
  changed(view: ServiceView, monotonicMicros: bigint): Message[] {
    const messages: string[][] = []
    if (view.state === 'draining') {
      if (!this.#stopping) messages.push(['STOPPING=1'])
      this.#stopping = true
    } else if (!this.#ready && readySlots(view) === view.desired) {
      messages.push(['READY=1'])
      this.#ready = true
    }
    const isUpgrading = view.state === 'upgrading'
    if (this.#ready && !this.#reloading && (view.state === 'reloading' || isUpgrading)) {
      messages.push(['RELOADING=1', `MONOTONIC_USEC=${monotonicMicros}`])
      this.#reloading = true
      this.#failure = ''
    }
    // Here it has failed: after one that succeeds, another process sends this.
    if (this.#upgrading && !isUpgrading && view.state !== 'draining') {
      messages.push(['READY=1'])
      this.#reloading = false
    }
    this.#upgrading = isUpgrading
    return this.#withStatus(messages, view)
  }

  /** A rollout waits for its turn among several hosts: for systemd it has begun. */
  turnRequested(view: ServiceView, monotonicMicros: bigint): Message[] {
    if (!this.#ready || this.#reloading || view.state === 'draining') return []
    this.#reloading = true
    this.#failure = ''
    return this.#withStatus([['RELOADING=1', `MONOTONIC_USEC=${monotonicMicros}`]], view)
  }

  /** A rollout has ended, or is refused. One that follows at once is a new reload: a SIGHUP that came during the first one waits for it. */
  rolloutEnded({ outcome, why = '' }: Pick<ReloadOutcome, 'outcome' | 'why'>, view: ServiceView): Message[] {
    this.#failure = outcome === 'failed' || outcome === 'refused' ? why : ''
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

/** Returns the number of wanted slots that a ready worker serves. */
export function readySlots({ workers, desired }: ServiceView): number {
  return new Set(workers.flatMap(({ slot, status }) => (status === 'ready' && slot < desired ? slot : []))).size
}

/** Returns one line for people. @param failure why the last reload failed, or "" */
function statusText(view: ServiceView, failure: string): string {
  const ready = view.workers.filter(({ status }) => status === 'ready')
  const generations = [...new Set(ready.map(({ generation }) => generation))].sort((a, b) => a - b)
  const parts = [`${view.state}: ${readySlots(view)} of ${view.desired} workers ready`]
  if (generations.length > 0) parts.push(`generation ${generations.join(' and ')}`)
  if (ready.length > 0 && !view.redis) parts.push('Redis away')
  const text = parts.join(', ') + (failure && `; the last reload failed: ${failure}`)
  // A line end would start another assignment.
  return text.replace(/[\s\p{Cc}]+/gu, ' ').slice(0, MAX_STATUS)
}

/** Adds a message to the queue. It replaces queued STATUS and WATCHDOG assignments of the same kind. */
export function enqueue(waiting: readonly Message[], message: Message): Message[] {
  const kinds = new Set(message.map(kindOf))
  const replaced = (assignment: string) => /^(STATUS|WATCHDOG)=/.test(assignment) && kinds.has(kindOf(assignment))
  const kept = waiting.map((one) => one.filter((assignment) => !replaced(assignment)))
  return [...kept.filter((one) => one.length > 0), message]
}

const kindOf = (assignment: string) => assignment.split('=', 1)[0]

/** Sends one message after another. The first failure is logged; failures change nothing else. */
class Notifier {
  readonly #options: SystemdOptions
  #waiting: Message[] = []
  #sending: Promise<void> | undefined
  #ended = false
  #warned = false

  constructor(options: SystemdOptions) {
    this.#options = options
  }

  send(...messages: Message[]): void {
    if (this.#ended || messages.length === 0) return
    for (const message of messages) this.#waiting = enqueue(this.#waiting, message)
    this.#sending ??= this.#sendAll()
  }

  /** Drops what waits. */
  async end(): Promise<void> {
    this.#ended = true
    this.#waiting = []
    await this.#sending
  }

  async #sendAll(): Promise<void> {
    for (let message = this.#waiting.shift(); message; message = this.#waiting.shift()) await this.#sendOne(message)
    this.#sending = undefined
  }

  async #sendOne(message: Message): Promise<void> {
    const { socket, searchPath, log } = this.#options
    const env = { NOTIFY_SOCKET: socket, PATH: searchPath }
    try {
      await run('systemd-notify', [`--pid=${process.pid}`, ...message], { env, timeout: TIMEOUT_MS })
    } catch (error) {
      if (!this.#warned) log.warn({ err: error }, 'systemd notification failed')
      this.#warned = true
    }
  }
}
