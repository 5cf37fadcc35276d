import type { UpgradeStatus } from '../../admin/command-context.ts'
import { StartupError } from '../../common/errors.ts'
import { createChannel } from '../../ipc/channel.ts'
import { reportEndOf } from '../../node-internals/ipc-channel.ts'
import { liveIn, type Share, type State, serves } from '../policy/types.ts'
import { isIsolated } from './inherit.ts'
import { RemoteWorkers } from './remote-workers.ts'
import { connectPrimaries, hasLeaving, range, type ServiceParts, shareSlots } from './service-parts.ts'
import { type ChannelToOld, commonPart, type Inheritance, type SocketName } from './upgrade-messages.ts'
import {
  UPGRADE_PROTOCOL_VERSION,
  type UpgradeAction,
  type UpgradeEvent,
  type UpgradeState,
  upgradeStep
} from './upgrade-protocol.ts'

/** The old primary answers at once. */
const BEGIN_TIMEOUT_MS = 30_000

export interface SuccessionOptions {
  /** Which ports of the old primary this one uses. */
  adopted: { port: boolean; adminPort: boolean }
  /** This primary is in charge now: it takes the admin socket, the pid file, the embedded Redis and the signals. */
  onInCharge: () => Promise<void>
  /** Ends this process, whose workers have left. */
  exit: () => void
}

/** What a successor does: it replaces the primary that has started it. `upgrade-protocol.ts` has the rules. */
export class Succession {
  readonly inheritance: Inheritance
  readonly sockets: ReadonlyMap<SocketName, object>
  /** Resolves when the old primary has nothing left or is gone. In a container its process may stay. */
  readonly oldEnded: Promise<void>
  isOldDone = false
  readonly oldPid = process.ppid
  readonly #channel: ChannelToOld
  readonly #startedAt = new Date()
  #state: UpgradeState<'successor'> = 'validating'
  /** The number of slots that this primary is in charge of. */
  #line = 0
  #accepts = false
  #parts: ServiceParts | undefined
  #options: SuccessionOptions | undefined
  #remote: RemoteWorkers | undefined
  #disconnect: () => void = () => {}
  #isEnding = false
  #hasToldStop = false
  #resolveOldEnded!: () => void
  readonly #onReconciled = () => this.#look()

  private constructor(channel: ChannelToOld, inheritance: Inheritance, sockets: ReadonlyMap<SocketName, object>) {
    this.#channel = channel
    this.inheritance = inheritance
    this.sockets = sockets
    this.oldEnded = new Promise((resolve) => {
      this.#resolveOldEnded = resolve
    })
    process.once('disconnect', () => this.#oldDied())
    // It may have died before this process could listen.
    if (!process.connected) {
      this.#state = 'alone'
      this.#oldHasEnded()
    }
    channel.on('open', () => this.#handle('open'))
    channel.on('commit', () => this.#handle('commit'))
    channel.on('return', () => this.#handle('return'))
    channel.on('end', ({ stop }) => this.#end(stop))
    channel.on('stream', (_message, handle) => {
      if (handle) this.#parts?.adminSocket.adoptStream(handle as object)
    })
  }

  /** Waits for what the old primary passes on. @throws StartupError when that speaks another protocol, which it was told */
  static receive(version: string): Promise<Succession> {
    const channel: ChannelToOld = createChannel(process)
    reportEndOf(process)
    const sockets = new Map<SocketName, object>()
    let onSocket = () => {}
    channel.on('socket', ({ name }, handle) => {
      if (handle) sockets.set(name, handle as object)
      onSocket()
    })
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new StartupError(`the primary to replace ${why}`))
      const timer = setTimeout(() => fail('has sent nothing'), BEGIN_TIMEOUT_MS)
      let hasBegun = false
      const onEnd = () => !hasBegun && fail('ended before it passed anything on')
      process.once('disconnect', onEnd)
      // It may have ended before this process could listen. What it has sent before arrives in the next turn.
      if (!process.connected) setImmediate(onEnd)
      channel.on('begin', ({ protocol, version: oldVersion, inheritance, sockets: names }) => {
        clearTimeout(timer)
        hasBegun = true
        if (protocol === UPGRADE_PROTOCOL_VERSION) {
          const succession = new Succession(channel, inheritance, sockets)
          // Without the old primary no more sockets come: the others are opened anew.
          onSocket = () => {
            if (names.every((name) => sockets.has(name))) resolve(succession)
            else if (!process.connected) setImmediate(() => resolve(succession))
          }
          process.once('disconnect', onSocket)
          onSocket()
          return
        }
        const why = `muster ${version} cannot replace muster ${oldVersion} without a restart: their upgrade protocols differ (${UPGRADE_PROTOCOL_VERSION} and ${protocol}). Stop the service and start it again.`
        void channel.notify({ type: 'refused', why }).then(() => reject(new StartupError(why)))
      })
    })
  }

  /** Tells the old primary why this one does not replace it. */
  async refuse(why: string): Promise<void> {
    await this.#channel.notify({ type: 'refused', why })
  }

  /** This primary could start now, and has its ports. */
  begin(parts: ServiceParts, options: SuccessionOptions): void {
    this.#parts = parts
    this.#options = options
    const common = commonPart(this.#channel)
    // Whatever serves the connections of the old primary now, it is not that one again.
    this.#remote = new RemoteWorkers(common, parts.supervisor.router, () => this.#state === 'serving')
    this.#disconnect = connectPrimaries(common, parts, () => {
      this.#oldHasEnded()
      this.#disconnect()
    })
    parts.keeper.leader = common
    if (this.inheritance.quarantines) parts.keeper.restore(this.inheritance.quarantines)
    parts.supervisor.on('reconciled', this.#onReconciled)
    this.#handle('valid')
  }

  get #isIsolated(): boolean {
    return isIsolated(this.#parts!.config, this.inheritance)
  }

  status(): UpgradeStatus | undefined {
    if (this.isOldDone) return undefined
    const { version } = this.#parts!
    return {
      pid: this.oldPid,
      version,
      node: process.version,
      role: 'predecessor',
      step: this.#state,
      slots: this.#line,
      since: this.#startedAt.toISOString()
    }
  }

  /** Tells the old primary to stop as well. @returns whether that one stops the service, since it is in charge */
  stop(): boolean {
    if (this.#isEnding || this.isOldDone) return false
    // The old primary answers with `end`, which stops this one.
    if (!this.#hasToldStop) void this.#channel.notify({ type: 'stop' })
    this.#hasToldStop = true
    return this.#state !== 'serving'
  }

  /** Ends the old primary, which waits for its last workers, at once. */
  cut(): void {
    if (this.#state === 'serving' && !this.isOldDone) process.kill(this.oldPid, 'SIGQUIT')
  }

  /** Tells the old primary that this one, which is in charge, is about to be replaced. */
  tellSuperseded(): void {
    void this.#channel.notify({ type: 'superseded' })
  }

  #oldHasEnded(): void {
    this.isOldDone = true
    this.#resolveOldEnded()
  }

  #oldDied(): void {
    const isLeft = this.#state === 'serving'
    this.#oldHasEnded()
    this.#disconnect()
    this.#remote?.gone()
    if (!isLeft) this.#parts?.log.error({ why: 'the old primary is gone' }, 'upgrade finished alone')
    this.#handle('died')
  }

  #handle(event: UpgradeEvent<'successor'>): void {
    const step = upgradeStep('successor', this.#state, event)
    if (!step || !this.#parts) {
      this.#noteEarly(event)
      return
    }
    this.#state = step.to
    this.#parts.log.debug({ event, step: step.to }, 'upgrade step')
    this.#perform(step.action, event === 'commit')
  }

  /** Before the configuration is known to be valid, only the death of the old primary matters. */
  #noteEarly(event: UpgradeEvent<'successor'>): void {
    if (event === 'died' && this.#state === 'validating') this.#state = 'alone'
    if (event === 'end') process.exit(0)
  }

  #perform(action: UpgradeAction<'successor'>, isCommit: boolean): void {
    const { supervisor, version, ports } = this.#parts!
    switch (action) {
      case 'tell-prepared':
        void this.#channel.notify({
          type: 'prepared',
          version,
          node: process.version,
          workers: supervisor.state.desired,
          isIsolated: this.#isIsolated
        })
        break
      case 'open-slot':
        this.#share(this.#line + 1)
        break
      case 'tell-ready':
        void this.#channel.notify({ type: 'ready', isLast: this.#line >= supervisor.state.desired })
        break
      case 'tell-failed':
        ports.pause()
        void this.#channel.notify({ type: 'failed', why: supervisor.state.share?.failure ?? 'a worker failed' })
        break
      case 'take-over':
        void this.#takeOver(isCommit)
        break
      case 'release':
        this.#share(this.#line - 1)
        break
      case 'tell-released':
        void this.#channel.notify({ type: 'released' })
        break
      case 'exit':
        this.#isEnding = true
        break
    }
    this.#look()
  }

  async #takeOver(isCommit: boolean): Promise<void> {
    const { supervisor, ports, redis, keeper, log } = this.#parts!
    const { adopted } = this.#options!
    supervisor.off('reconciled', this.#onReconciled)
    if (!this.#accepts) ports.startAccepting()
    else ports.resume()
    this.#accepts = true
    keeper.leader = undefined
    keeper.releaseServes()
    this.#line = supervisor.state.desired
    shareSlots(supervisor, undefined, this.#remote!, [])
    try {
      await this.#options!.onInCharge()
    } catch (error) {
      log.error({ err: error }, 'upgrade incomplete')
    }
    if (isCommit)
      void this.#channel.notify({
        type: 'committed',
        adopted: { ...adopted, redis: redis.embeddedSocket !== undefined }
      })
  }

  /** Looks whether what a step waits for has happened. */
  #look(): void {
    const { supervisor, ports, config } = this.#parts!
    const { state } = supervisor
    const { share } = state
    if (!this.#accepts && share?.failure === undefined && state.workers.some(serves)) {
      this.#accepts = true
      ports.startAccepting()
    }
    if (this.#isEnding) {
      if (state.workers.length === 0) this.#exit()
    } else if (share?.failure !== undefined && (this.#state === 'waiting' || this.#state === 'booting')) {
      this.#handle('failed')
    } else if (this.#state === 'booting' && isProved(state, this.#line - 1, supervisor.now(), config.limits.canaryMs)) {
      this.#handle('booted')
    } else if (this.#state === 'releasing' && !hasLeaving(state, this.#line, Number.POSITIVE_INFINITY)) {
      this.#handle('released')
    }
  }

  #share(line: number): void {
    const { supervisor } = this.#parts!
    this.#line = line
    const { failure } = supervisor.state.share ?? {}
    const share: Share = {
      ...{ from: 0, to: line, isCandidate: true },
      ...(failure !== undefined && { failure }),
      ...(this.#isIsolated && { isIsolated: true })
    }
    shareSlots(supervisor, share, this.#remote!, this.#isIsolated ? [] : range(line, this.inheritance.desired))
  }

  /** @param stop the service stops: connections are not passed on */
  #end(stop: boolean): void {
    const isInCharge = this.#state === 'serving'
    if (!this.#parts) process.exit(0)
    if (isInCharge) {
      this.#parts.control.stop()
      return
    }
    this.#handle('end')
    if (stop) this.#parts.supervisor.handle({ type: 'stop' }, { type: 'port-closed' })
    else this.#share(0)
  }

  #exit(): void {
    const { supervisor, metrics } = this.#parts!
    supervisor.off('reconciled', this.#onReconciled)
    void metrics
      .own()
      .then((collection) => this.#channel.notify({ type: 'last-counters', collection }))
      .then(() => this.#options!.exit())
  }
}

/** Whether the worker of the slot serves; the first one must do so for the canary time. */
function isProved(state: State, slot: number, now: number, canaryMs: number): boolean {
  const worker = liveIn(state, slot).find(serves)
  return worker !== undefined && (slot > 0 || now >= worker.since + canaryMs)
}
