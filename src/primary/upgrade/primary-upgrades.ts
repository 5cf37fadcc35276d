import { accessSync, constants } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { UpgradeOutcome, UpgradeStatus } from '../../admin/command-context.ts'
import { CommandError } from '../../admin/command-error.ts'
import type { JournalEvent } from '../../admin/journal-file.ts'
import { readEnvFile } from '../../config/sources/gather-environment.ts'
import type { LaunchOptions } from '../../config/sources/successor-environment.ts'
import type { UpgradeControl } from '../control/service-control.ts'
import type { ServiceParts } from './service-parts.ts'
import type { Succession } from './succession.ts'
import type { SuccessorProcess } from './successor-process.ts'
import type { Adopted, Inheritance } from './upgrade-messages.ts'
import { Upgrade } from './upgrade-steps.ts'

/** Connections that were accepted reach a worker in this time, in ms. */
const SETTLE_MS = 1000
/** A primary that stops is waited for so much longer than its workers may drain, in ms. */
const OTHERS_MARGIN_MS = 5000

export interface PrimaryUpgradesOptions {
  launch: LaunchOptions
  /** Set when this primary replaces another one. */
  succession: Succession | undefined
  /** `muster dev` runs. */
  isDeveloped: boolean
  /** The process that started the first primary waits for it: it stays until its successor ends. */
  stays: boolean
  record: (event: JournalEvent) => void
  /** Called with the pid of another primary, which may take over from this one, and when it cannot any more. */
  onPid: (pid: number, alive: boolean) => void
  /** The successor is in charge now. */
  onReplaced: () => void
  /** The successor has died, and this primary is in charge again. */
  onInChargeAgain: () => Promise<void>
  /** Ends this process, which has nothing left. */
  leave: (successor: SuccessorProcess) => void
}

/** The upgrades of this primary: those that it begins, and the one that it came from. */
export class PrimaryUpgrades implements UpgradeControl {
  readonly #parts: ServiceParts
  readonly #options: PrimaryUpgradesOptions
  #upgrade: Upgrade | undefined
  /** What `muster upgrade --env-file` has changed so far. */
  readonly #overrides: Readonly<Record<string, string>>
  /** The primary that this one has replaced, while it would take the service and its embedded Redis back if this one were killed. */
  #fallback: number | undefined

  constructor(parts: ServiceParts, options: PrimaryUpgradesOptions) {
    this.#parts = parts
    this.#options = options
    this.#overrides = options.succession?.inheritance.overrides ?? {}
    const { succession, onPid } = options
    if (!succession || succession.isOldDone) return
    this.#fallback = succession.oldPid
    onPid(succession.oldPid, true)
    void succession.oldEnded.then(() => {
      this.#forgetFallback()
      this.#upgrade?.look()
    })
  }

  /** @throws CommandError 400 for a file that cannot be read or a program that cannot be run */
  async start({
    node = process.execPath,
    envFile
  }: {
    node?: string | undefined
    envFile?: string | undefined
  }): Promise<UpgradeOutcome> {
    if (this.#options.isDeveloped) {
      throw new CommandError('`muster dev` replaces its worker by itself: end it and start it again instead', 409)
    }
    const overrides = { ...this.#overrides, ...(envFile !== undefined && readOverrides(envFile)) }
    checkProgram(node)
    const { record, onPid, launch, succession } = this.#options
    const { ports, adminSocket, redis } = this.#parts
    const [redisOutput, redisErrors] = redis.output
    // Before a third primary exists that may be in charge.
    succession?.tellSuperseded()
    const upgrade = new Upgrade(this.#parts, {
      node,
      launch,
      inheritance: this.#inheritance(overrides),
      sockets: { ...ports.handles, admin: adminSocket.handle, redisOutput, redisErrors },
      record,
      onPid,
      onCommitted: (successor, adopted) => this.#onCommitted(successor, adopted),
      onTakeBack: () => this.#takeBack(),
      mayLeave: () => !succession || succession.isOldDone,
      onEmpty: (successor) => this.#options.leave(successor)
    })
    this.#upgrade = upgrade
    const { supervisor } = this.#parts
    supervisor.handle({ type: 'generation-used', generation: supervisor.state.lastGeneration + 1 })
    return upgrade.ended
  }

  get stays(): boolean {
    return this.#options.stays
  }

  status(): UpgradeStatus | undefined {
    if (this.#parts.supervisor.state.share) return this.#upgrade?.status() ?? this.#options.succession?.status()
    return this.#options.succession?.status()
  }

  stop(): boolean {
    if (this.#parts.supervisor.state.share) this.#upgrade?.stop()
    this.#forgetFallback()
    return this.#options.succession?.stop() === true
  }

  /** Ends the other primaries as well, at once. */
  cut(): void {
    if (this.#parts.supervisor.state.share) this.#upgrade?.kill('SIGQUIT')
    this.#options.succession?.cut()
  }

  /** Resolves when no other primary needs what this one owns, such as the embedded Redis. */
  async othersEnded(): Promise<void> {
    const { succession } = this.#options
    const { config, supervisor } = this.#parts
    const patience = new AbortController()
    const { signal } = patience
    const late = sleep(config.drainMs + OTHERS_MARGIN_MS, undefined, { signal }).catch(() => {})
    await Promise.race([succession?.oldEnded, late])
    patience.abort()
    if (!supervisor.state.share) return
    await this.#upgrade?.tellEnd()
    await this.#upgrade?.successorExit()
  }

  async #onCommitted(successor: SuccessorProcess, adopted: Adopted): Promise<void> {
    const { ports, adminSocket, redis, keeper, supervisor } = this.#parts
    keeper.leader = successor.channel
    adminSocket.pause()
    if (adopted.redis) redis.release()
    void adminSocket.passStreams((handle) => successor.channel.notify({ type: 'stream' }, handle))
    this.#options.onReplaced()
    await ports.leave(adopted)
    // The last workers drain next. No other process can serve what has come through the old port until it was closed.
    if (supervisor.state.share?.isIsolated) await Promise.race([supervisor.router.settled(), sleep(SETTLE_MS)])
  }

  async #takeBack(): Promise<void> {
    const { ports, adminSocket, redis, keeper } = this.#parts
    keeper.leader = undefined
    adminSocket.resume()
    await ports.takeBack()
    await redis.adopt()
    await this.#options.onInChargeAgain()
  }

  #forgetFallback(): void {
    if (this.#fallback !== undefined) this.#options.onPid(this.#fallback, false)
    this.#fallback = undefined
  }

  #inheritance(overrides: Readonly<Record<string, string>>): Inheritance {
    const { config, supervisor, autoscaler, ports, ticketKeys, redis, keeper } = this.#parts
    const { succession, stays } = this.#options
    const { runDir, scheduling, host, port, adminPort, workers, listenFd } = config
    const { lastGeneration, desired } = supervisor.state
    return {
      generation: lastGeneration,
      desired,
      workers,
      configuredRange: autoscaler.configured,
      range: autoscaler.range,
      runDir,
      scheduling,
      usesTls: config.tls !== undefined,
      host,
      port,
      adminPort,
      numbers: ports.numbers,
      isPassed: listenFd !== undefined || succession?.inheritance.isPassed === true,
      quarantines: keeper.snapshot(),
      ticketKeys: ticketKeys?.current.toString('base64'),
      redisSocket: redis.embeddedSocket,
      overrides,
      stays
    }
  }
}

function readOverrides(file: string): Record<string, string> {
  try {
    return readEnvFile(file) as Record<string, string>
  } catch (error) {
    throw new CommandError((error as Error).message)
  }
}

function checkProgram(path: string): void {
  try {
    accessSync(path, constants.X_OK)
  } catch (error) {
    throw new CommandError(`node: ${path} cannot be run: ${(error as Error).message}`)
  }
}
