import type { Logger } from '../../src/common/log.ts'
import { LIMITS } from '../../src/primary/policy/policy-limits.ts'
import { Random } from '../helpers/random.ts'
import { type ClientWorld, SimClient } from './clients/sim-client.ts'
import { SimSocketClient } from './clients/sim-socket-client.ts'
import { type HostedWorker, type HostFaults, SimHost } from './machine/sim-host.ts'
import { SimNetwork } from './machine/sim-network.ts'
import { SimProcess } from './machine/sim-process.ts'
import { VirtualTime } from './machine/virtual-time.ts'
import { createSimPrimary, SimDisk, type SimPrimary } from './service/sim-primary.ts'
import type { Incident, SimPlan } from './sim-plan.ts'

/** A promise that was broken. */
export interface Violation {
  what: string
  /** The number of the event, and its time in ms. */
  step: number
  at: number
}

/** Lines of a trace that are kept. */
const MAX_TRACE = 4000
const MAX_LINE = 220

/** One simulated service with its clients and its machine. It has no relation to real time, and to other runs. */
export class SimCluster {
  readonly plan: SimPlan
  readonly time: VirtualTime
  readonly random: Random
  readonly world: SimProcess
  readonly primaryProcess: SimProcess
  readonly network: SimNetwork
  readonly host: SimHost
  readonly disk = new SimDisk()
  readonly faults: HostFaults = { delayMs: 0, descriptorsLost: 0, forksFail: undefined, slowBootMs: 0 }
  readonly clients: ClientWorld
  readonly trace: string[] = []
  primary!: SimPrimary
  violation: Violation | undefined
  isStopping = false
  /** The last rollback could not replace every slot: the log says so. */
  mayBeMixed = false
  exit: { code: string; cause: string } | undefined
  /** Processes of the release that serves which have ended before they were ready, since the last rollout. */
  #bootsFailed = 0
  readonly #keepsTrace: boolean

  constructor(plan: SimPlan, keepsTrace: boolean) {
    this.plan = plan
    this.#keepsTrace = keepsTrace
    this.random = new Random(plan.seed ^ 0x5eed)
    this.time = new VirtualTime(new Random(plan.seed ^ 0xc0de))
    this.world = new SimProcess(this.time, 'world', 1, 0)
    this.primaryProcess = new SimProcess(this.time, 'primary', 2, this.random.between(0, 1e6))
    for (const process of [this.world, this.primaryProcess]) process.onUncaught = (what) => this.fail(what)
    this.network = new SimNetwork(this.time, this.random)
    this.network.note = (text) => this.note(text)
    this.network.onTwoOwners = ({ id }) => this.fail(`connection ${id} is used by two processes`)
    this.host = new SimHost({
      time: this.time,
      random: this.random,
      primary: this.primaryProcess,
      world: this.world,
      faults: this.faults,
      log: (name) => this.#logOf(name),
      onRequest: (id) => this.clients.handled.set(id, (this.clients.handled.get(id) ?? 0) + 1),
      onFork: (worker) => this.#checkSurplus(worker),
      onMessage: (text) => {
        if (!text.includes('{"type":"heartbeat"')) this.note(text)
      },
      onUncaught: (what) => this.fail(what)
    })
    this.clients = {
      network: this.network,
      random: this.random,
      owner: this.world,
      isStopping: () => this.isStopping || this.exit !== undefined,
      isOrphaned: () => this.exit?.code !== 'drained' && !this.primaryProcess.alive,
      violation: (what) => this.fail(what),
      handled: new Map(),
      active: new Set(),
      requests: 0
    }
  }

  /** Plans everything that happens from outside, and starts the primary. */
  start(apply: (cluster: SimCluster, incident: Incident) => void): void {
    const { plan, time, world } = this
    for (const visit of plan.visits) {
      const Client = visit.kind === 'socket' ? SimSocketClient : SimClient
      time.plan(world, visit.at, () => void new Client(this.clients, visit))
    }
    for (const incident of plan.incidents) {
      time.plan(world, incident.at, () => {
        this.note(`INCIDENT ${JSON.stringify(incident)}`)
        apply(this, incident)
      })
    }
    const { primaryProcess: process, network, host, disk } = this
    const onKill = (id: number, reason: string) => this.#checkKill(id, reason)
    time.plan(process, 0, () => {
      const log = this.#logOf('primary')
      this.primary = createSimPrimary({ host, network, process, disk, log }, plan, (code, cause) => {
        this.note(`the service ends: ${code}, ${cause}`)
        this.exit = { code, cause }
        // As `primary-end.ts` does.
        this.primary.pool.killAll()
        time.plan(world, 1, () => process.exit({ code: 0, signal: null }))
      })
      this.primary.supervisor.on('rollout', ({ outcome, why = '' }) => {
        this.mayBeMixed = why.includes('stays on the new one') || (this.mayBeMixed && outcome === 'failed')
        if (why.includes('does not boot any more') && this.#bootsFailed < LIMITS.bootAttempts) {
          this.fail(`a rollback gave up after ${this.#bootsFailed} boots of the old release had failed`)
        }
        this.#bootsFailed = 0
      })
      this.primary.pool.on('event', (event) => {
        if (event.type === 'kill-sent') onKill(event.id, event.reason)
      })
      // Before the supervisor, which forgets the worker.
      this.primary.pool.prependListener('event', (event) => {
        if (event.type === 'exit') this.#countFailedBoot(event.id)
      })
    })
  }

  /** Records the first violation. */
  fail(what: string): void {
    this.note(`VIOLATION ${what}`)
    this.violation ??= { what, step: this.time.steps, at: this.time.now }
  }

  note(text: string): void {
    if (!this.#keepsTrace) return
    this.trace.push(`${(this.time.now / 1000).toFixed(4)} s  ${text.slice(0, MAX_LINE)}`)
    if (this.trace.length > MAX_TRACE) this.trace.shift()
  }

  /** The worker that serves a slot, or starts there. */
  workerIn(slot: number): HostedWorker | undefined {
    return [...this.host.workers.values()].findLast((worker) => worker.slot === slot && !worker.process.leaves)
  }

  /**
   * A slot has at most one worker too many, and two more during a trial: canary and control. One slot is replaced at a time,
   * beside the one on trial, and in a rollout as many as the plan allows.
   * Workers that hang, that the primary takes for hung, or that are to leave do not count.
   */
  #checkSurplus({ slot, process }: HostedWorker): void {
    this.note(`fork of ${process.name}`)
    const { workers = [] } = this.primary?.supervisor.state ?? {}
    const isLost = (id: number) => workers.some((worker) => worker.id === id && worker.lost)
    const live = [...this.host.workers.values()].filter(
      ({ id, process: one }) => !one.leaves && !one.isHung && !isLost(id)
    )
    const countIn = (of: number) => live.filter((worker) => worker.slot === of).length
    const isOnTrial = this.primary?.supervisor.state.rollout?.trial !== undefined
    if (countIn(slot) > (isOnTrial ? 4 : 2)) this.fail(`slot ${slot} has ${countIn(slot)} workers that are to stay`)
    const replaced = new Set(live.map((worker) => worker.slot).filter((of) => countIn(of) > 1))
    const most = isOnTrial ? 2 : this.primary?.supervisor.state.rollout ? this.plan.surge : 1
    if (replaced.has(slot) && replaced.size > most) {
      this.fail(`the slots ${[...replaced]} are replaced at the same time`)
    }
  }

  /** A worker that runs, and is not asked for more than it can do, is not killed. */
  #checkKill(id: number, reason: string): void {
    const worker = this.host.workers.get(id)
    if (!worker || reason === 'unwanted') return
    const { process } = worker
    if (process.stall === undefined && !process.isFaulty)
      this.fail(`${process.name} is killed as ${reason}, and is well`)
  }

  #countFailedBoot(id: number): void {
    const { workers, generation } = this.primary.supervisor.state
    const worker = workers.find((one) => one.id === id)
    if (worker?.pid && worker.status === 'starting' && worker.generation === generation) this.#bootsFailed++
  }

  #logOf(name: string): Logger {
    const write = (level: string) => (fields: unknown, message?: string) => {
      if (this.#keepsTrace) this.note(`${name} ${level} ${message ?? ''} ${JSON.stringify(fields, replaceErrors)}`)
    }
    const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, write(level)])
    return Object.fromEntries(levels) as Logger
  }
}

const replaceErrors = (_key: string, value: unknown) =>
  value instanceof Error ? (value.stack ?? value.message) : value
