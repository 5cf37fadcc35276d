import type { UpgradeOutcome, UpgradeStatus } from '../../admin/command-context.ts'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { LaunchOptions } from '../../config/sources/successor-environment.ts'
import { liveIn, type Share, serves } from '../policy/types.ts'
import { RemoteWorkers } from './remote-workers.ts'
import { connectPrimaries, hasLeaving, range, type ServiceParts, shareSlots } from './service-parts.ts'
import { SuccessorProcess } from './successor-process.ts'
import { type Adopted, commonPart, type Inheritance, type SocketName } from './upgrade-messages.ts'
import {
  UPGRADE_PROTOCOL_VERSION,
  type UpgradeAction,
  type UpgradeEvent,
  type UpgradeState,
  upgradeStep
} from './upgrade-protocol.ts'

/** Time that a step may take beside what its worker may take, in ms. Then the successor hangs. */
const MARGIN_MS = 10_000
/** A failed upgrade is reported after this time even if workers of the successor linger, in ms. */
const END_MS = 3000
/** A worker that an upgrade's rollback starts may fail so often. */
const MAX_FAILURES = 3

export interface UpgradeOptions {
  /** Path of Node. */
  node: string
  launch: LaunchOptions
  inheritance: Inheritance
  /** The listening sockets. */
  sockets: Partial<Record<SocketName, object | null | undefined>>
  record: (event: JournalEvent) => void
  /** Called with the pid of the successor when it has started, and when it has ended. */
  onPid: (pid: number, alive: boolean) => void
  /** The successor is in charge: this primary only drains what it has left. */
  onCommitted: (successor: SuccessorProcess, adopted: Adopted) => Promise<void>
  /** The successor is gone after it was in charge. */
  onTakeBack: () => Promise<void>
  /** Whether this primary may leave as soon as it has nothing left; {@link Upgrade.look} tells when that has changed. */
  mayLeave: () => boolean
  /** This primary has nothing left. */
  onEmpty: (successor: SuccessorProcess) => void
}

/** The replacement of this primary by a successor, as the old primary sees it. `upgrade-protocol.ts` has its rules. */
export class Upgrade {
  /** Resolves when the successor is in charge and nothing of this primary is waited for, or when this one serves as before. */
  readonly ended: Promise<UpgradeOutcome>
  readonly #parts: ServiceParts
  readonly #options: UpgradeOptions
  readonly #successor: SuccessorProcess
  readonly #remote: RemoteWorkers
  readonly #disconnect: () => void
  readonly #startedAt = new Date()
  readonly #steps: number
  #state: UpgradeState<'old'> = 'starting'
  /** The number of slots that the successor is in charge of. */
  #line = 0
  #isIsolated = false
  #isStopping = false
  #why: string | undefined
  #prepared: { version: string; node: string; workers: number } | undefined
  #deadline: NodeJS.Timeout | undefined
  #resolveEnded!: (outcome: UpgradeOutcome) => void
  #isEnded = false
  readonly #onReconciled = () => this.look()

  /** Starts the successor. */
  constructor(parts: ServiceParts, options: UpgradeOptions) {
    this.#parts = parts
    this.#options = options
    this.#steps = parts.supervisor.state.desired
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.#share({ from: 0, to: Number.POSITIVE_INFINITY }, undefined)
    this.#successor = new SuccessorProcess(options.node, options.launch, (cause) => this.#died(cause))
    const { pid, channel } = this.#successor
    parts.log.info({ successor: pid, node: options.node }, 'upgrade started')
    options.record({ event: 'upgrade begins', pid: process.pid, ...(pid && { successor: pid }) })
    if (pid) options.onPid(pid, true)
    this.#remote = new RemoteWorkers(commonPart(channel), parts.supervisor.router)
    this.#disconnect = connectPrimaries(commonPart(channel), parts)
    this.#listen()
    this.#begin()
    parts.supervisor.on('reconciled', this.#onReconciled)
    this.#limit(parts.config.limits.bootMs, 0)
  }

  get #lateText(): string {
    return `the new primary was not prepared in ${this.#parts.config.limits.bootMs} ms (BOOT_TIMEOUT)`
  }

  status(): UpgradeStatus {
    const { version, node } = this.#prepared ?? {}
    return {
      pid: this.#successor.pid,
      ...(version !== undefined && { version, node }),
      role: 'successor',
      step: this.#state,
      slots: this.#line,
      since: this.#startedAt.toISOString(),
      ...(this.#why !== undefined && { why: this.#why })
    }
  }

  /** Ends the successor because the service stops. */
  stop(): void {
    this.#isStopping = true
    this.#handle('stop')
  }

  /** Sends a signal to the successor. */
  kill(signal: NodeJS.Signals): void {
    this.#successor.kill(signal)
  }

  /** Resolves when the successor has ended. */
  successorExit(): Promise<number> {
    return this.#successor.exitCode()
  }

  #listen(): void {
    const { channel } = this.#successor
    channel.on('prepared', ({ version, node, workers, isIsolated = false }) => {
      this.#prepared = { version, node, workers }
      this.#isIsolated = isIsolated
      // It could not listen before.
      this.#parts.keeper.emit('decided')
      this.#parts.log.info({ successor: this.#successor.pid, version, node, workers }, 'successor prepared')
      this.#handle('prepared')
    })
    channel.on('refused', ({ why }) => this.#handle('refused', why))
    channel.on('ready', ({ isLast }) => this.#handle(isLast ? 'all-ready' : 'ready'))
    channel.on('failed', ({ why }) => this.#handle('failed', why))
    channel.on('released', () => this.#handle('released'))
    channel.on('committed', ({ adopted }) => void this.#leaveTo(adopted))
    channel.on('superseded', () => this.#handle('superseded'))
    channel.on('stop', () => this.#parts.control.stop())
  }

  async #leaveTo(adopted: Adopted): Promise<void> {
    if (this.#state === 'committing') await this.#options.onCommitted(this.#successor, adopted)
    this.#handle('committed')
  }

  #begin(): void {
    const { channel } = this.#successor
    const { version } = this.#parts
    const { inheritance } = this.#options
    const sockets = Object.entries(this.#options.sockets).filter(([, handle]) => handle)
    const names = sockets.map(([name]) => name as SocketName)
    // First of all: Node sends nothing after a handle until the other process has confirmed it.
    void channel.notify({ type: 'begin', protocol: UPGRADE_PROTOCOL_VERSION, version, inheritance, sockets: names })
    for (const [name, handle] of sockets) {
      void channel.notify({ type: 'socket', name: name as SocketName }, handle)
    }
  }

  #handle(event: UpgradeEvent<'old'>, why?: string): void {
    const step = upgradeStep('old', this.#state, event)
    if (!step) return
    this.#why ??= why
    const isTakingBack = this.#state === 'retiring' || this.#state === 'committing'
    clearTimeout(this.#deadline)
    this.#state = step.to
    this.#parts.log.debug({ event, step: step.to }, 'upgrade step')
    this.#perform(step.action, isTakingBack)
  }

  #perform(action: UpgradeAction<'old'>, wasCommitted: boolean): void {
    const { channel } = this.#successor
    const { bootMs, canaryMs } = this.#parts.config.limits
    switch (action) {
      case 'open':
        void channel.notify({ type: 'open' })
        this.#limit(bootMs + canaryMs)
        break
      case 'retire':
        this.#line++
        this.#share({ from: this.#line, to: Number.POSITIVE_INFINITY }, this.#line)
        break
      case 'commit':
        void channel.notify({ type: 'commit' })
        this.#limit(bootMs)
        break
      case 'retire-all':
        this.#line = Math.max(this.#line, this.#steps)
        this.#share({ from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }, this.#steps)
        break
      case 'restore':
        this.#restore()
        break
      case 'return':
        void channel.notify({ type: 'return' })
        this.#limit(this.#parts.config.drainMs)
        break
      case 'end':
        void channel.notify({ type: 'end', stop: this.#isStopping })
        // Its workers may linger.
        this.#deadline = setTimeout(() => this.#end(this.#isStopping ? 'stopped' : 'failed'), END_MS)
        break
      case 'kill':
        this.#why ??= this.#prepared ? 'the new primary does not answer' : this.#lateText
        this.#successor.kill('SIGKILL')
        break
      case 'give-up':
      case 'take-back':
        this.#takeBack(wasCommitted)
        break
      case 'drain':
        this.#close()
        // The port is another primary's.
        this.#parts.supervisor.handle({ type: 'stop' }, { type: 'port-closed' })
        break
      case 'exit':
        void this.#leave()
        break
    }
    this.look()
  }

  async #leave(): Promise<void> {
    this.#parts.supervisor.off('reconciled', this.#onReconciled)
    await this.tellEnd()
    this.#close()
    this.#options.onEmpty(this.#successor)
  }

  /** Tells the successor the counters of this primary, which end with it. */
  async tellEnd(): Promise<void> {
    const collection = await this.#parts.metrics.own()
    await this.#successor.channel.notify({ type: 'last-counters', collection })
  }

  /** Starts the worker of the last slot that the successor is in charge of. */
  #restore(): void {
    const { log } = this.#parts
    if (this.#line === this.#steps) log.error({ why: this.#why }, 'rolling back the upgrade')
    if (this.#line === 0) {
      this.#handle('all-restored')
      return
    }
    this.#line--
    this.#share({ from: this.#line, to: Number.POSITIVE_INFINITY }, this.#line + 1)
  }

  #takeBack(wasCommitted: boolean): void {
    this.#close()
    this.#remote.gone()
    if (wasCommitted && !this.#isStopping) {
      void this.#options.onTakeBack().catch((error: unknown) => this.#parts.log.error({ err: error }, 'upgrade undone'))
    }
    this.#share(undefined, 0)
    this.#end(this.#isStopping ? 'stopped' : 'failed')
  }

  /** Looks whether what a step waits for has happened. */
  look(): void {
    const { state } = this.#parts.supervisor
    if (this.#state === 'leaving' && !hasLeaving(state, 0, this.#line)) this.#handle('left')
    else if (this.#state === 'restoring' && this.#isRestored()) this.#handle('restored')
    else if (this.#state === 'retiring' || this.#state === 'superseded') {
      if (!hasLeaving(state, 0, Number.POSITIVE_INFINITY)) this.#end('done')
      if (state.workers.length === 0 && this.#options.mayLeave()) this.#handle('empty')
    }
  }

  /** A slot whose worker fails again and again is given up: the workers of others serve its connections. */
  #isRestored(): boolean {
    const { state } = this.#parts.supervisor
    const slot = this.#line
    if (slot >= state.desired || liveIn(state, slot).some(serves)) return true
    return (state.slots[slot]?.failures ?? 0) >= MAX_FAILURES
  }

  /** @param remote the number of slots whose connections the successor takes; undefined: it does not serve yet */
  #share(share: Share | undefined, remote: number | undefined): void {
    const { supervisor } = this.#parts
    if (remote === undefined) supervisor.handle({ type: 'share', share })
    else if (share && this.#isIsolated) shareSlots(supervisor, { ...share, isIsolated: true }, this.#remote, [])
    else shareSlots(supervisor, share, this.#remote, range(0, remote))
  }

  #limit(ms: number, marginMs = MARGIN_MS): void {
    this.#deadline = setTimeout(() => this.#handle('late'), ms + marginMs)
  }

  #died(cause: string): void {
    const { pid } = this.#successor
    if (pid) this.#options.onPid(pid, false)
    this.#handle('died', `the new primary ended: ${cause}`)
  }

  #close(): void {
    clearTimeout(this.#deadline)
    this.#parts.supervisor.off('reconciled', this.#onReconciled)
    this.#disconnect()
  }

  #end(outcome: UpgradeOutcome['outcome']): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const { pid } = this.#successor
    const { version, node } = this.#prepared ?? {}
    const result: UpgradeOutcome = {
      outcome,
      durationMs: Date.now() - this.#startedAt.getTime(),
      ...(outcome === 'failed' && { why: this.#why ?? 'the new primary ended' }),
      ...(pid && { pid }),
      ...(version !== undefined && node !== undefined && { version, node })
    }
    // In a log line, `pid` is the process that logs.
    const { pid: successor, ...others } = result
    const fields = { ...others, ...(successor && { successor }) }
    this.#parts.log[outcome === 'failed' ? 'error' : 'info'](fields, `upgrade ${outcome}`)
    this.#options.record({ event: `upgrade ${outcome}`, ...fields })
    this.#resolveEnded(result)
  }
}
