import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DrillError, Interrupted } from './drill-errors.ts'
import { ALL_FAULTS } from './faults/all-faults.ts'
import type { Fault, FaultContext } from './faults/fault.ts'
import { RedisCommands } from './faults/redis-commands.ts'
import { CpuWaits } from './load/cpu-waits.ts'
import { ExactNumbers } from './load/exact-numbers.ts'
import { type FoundRequests, probe, readOpenApi } from './load/find-requests.ts'
import { LoadClients } from './load/load-clients.ts'
import { RequestRecorder } from './load/request-recorder.ts'
import type { DrillRequest } from './load/requests.ts'
import { MetricsWatch } from './metrics-watch.ts'
import { type FaultName, type LoadCounts, noLoad, type Observations, type Step } from './observations.ts'
import { differencesOf, readState, restore, type ServiceState } from './service-state.ts'
import { type DrillTarget, readyWorkers, ServiceWatch } from './service-watch.ts'
import type { ServiceSettings } from './target-settings.ts'
import { UndoStack } from './undo-stack.ts'

const REST_MS = 3000
/** How long the service may need to recover from a fault, beside BOOT_TIMEOUT. */
const SETTLE_MS = 30_000
/** A client waits for an answer for this time, and longer than a hung worker may exist. */
const CLIENT_TIMEOUT_MS = 10_000
const POLL_MS = 50
/** After the last fault: the last numbers, the last scrape, the comparison. */
const END_MS = 3000

export interface DrillOptions {
  /** Undefined: those of the OpenAPI document. */
  requests?: readonly DrillRequest[] | undefined
  faults: readonly FaultName[]
  /** The drill begins no fault for which the time does not suffice. */
  maxMs: number
  maxRequests: number
  /** Ends the drill early. */
  signal: AbortSignal
  /** Called with a line for people when something begins. */
  onProgress: (text: string) => void
}

/**
 * Tries the faults on a running service, under load, and takes each of them back.
 * @throws DrillError when it cannot begin or the service ends; Interrupted
 */
export async function drill(
  target: DrillTarget,
  settings: ServiceSettings,
  options: DrillOptions
): Promise<Observations> {
  const undo = new UndoStack()
  const before = await readState(target)
  try {
    return await new Drill(target, settings, options, undo, before).run()
  } finally {
    await undo.run()
    await restore(target, before)
  }
}

class Drill {
  readonly #target: DrillTarget
  readonly #settings: ServiceSettings
  readonly #options: DrillOptions
  readonly #undo: UndoStack
  readonly #before: ServiceState
  readonly #waits = new CpuWaits()
  readonly #recorder: RequestRecorder
  readonly #deadline: number
  #watch!: ServiceWatch
  #metrics: MetricsWatch | undefined

  constructor(
    target: DrillTarget,
    settings: ServiceSettings,
    options: DrillOptions,
    undo: UndoStack,
    before: ServiceState
  ) {
    this.#target = target
    this.#settings = settings
    this.#options = options
    this.#undo = undo
    this.#before = before
    this.#deadline = performance.now() + options.maxMs
    this.#recorder = new RequestRecorder({
      address: settings.address,
      waits: this.#waits,
      timeoutMs: CLIENT_TIMEOUT_MS + settings.heartbeatMs,
      maxRequests: options.maxRequests
    })
  }

  async run(): Promise<Observations> {
    const { address, adminAddress } = this.#settings
    this.#undo.add(() => this.#waits.stop())
    this.#watch = await ServiceWatch.open(this.#target, this.#options.signal)
    this.#undo.add(() => this.#watch.stop())
    const given = this.#options.requests
    const documented = given ?? (await readOpenApi(adminAddress ?? address))
    const found = await probe(this.#recorder, address, documented, given !== undefined)
    if (found.requests.length === 0) throw new DrillError(noRequests(found))
    for (const one of found.leftOut) this.#options.onProgress(`left out: ${one}`)
    const why = await this.#startMetrics()
    const numbers = new ExactNumbers(this.#recorder, found)
    await numbers.begin()
    const clients = new LoadClients(this.#recorder)
    const stop = this.#undo.add(() => clients.stop())
    clients.start(found.requests)
    const steps = await this.#runSteps()
    await stop()
    const { hits, session } = await numbers.end()
    const metrics = why ?? (await this.#metrics!.stop())
    const differences = differencesOf(this.#before, await readState(this.#target))
    return { service: this.#describe(steps), steps, hits, session, metrics, differences }
  }

  /** @returns why /metrics is not watched */
  async #startMetrics(): Promise<string | undefined> {
    const { adminAddress, hasMetricsToken } = this.#settings
    if (adminAddress === undefined) return '/metrics is at ADMIN_PORT=0, which the drill cannot find'
    if (hasMetricsToken) return 'METRICS_TOKEN is set, and the drill does not know it'
    const metrics = new MetricsWatch(adminAddress, this.#waits)
    const why = await metrics.start()
    if (why !== undefined) return why
    this.#metrics = metrics
    this.#undo.add(() => metrics.stop())
    return undefined
  }

  async #runSteps(): Promise<Step[]> {
    const steps = [await this.#rest()]
    const context: FaultContext = {
      target: this.#target,
      watch: this.#watch,
      settings: this.#settings,
      address: this.#settings.address,
      recorder: this.#recorder,
      waits: this.#waits,
      undo: this.#undo,
      redis: this.#findRedis()
    }
    let unsettled: string | undefined
    for (const fault of ALL_FAULTS.filter(({ name }) => this.#options.faults.includes(name))) {
      const why = unsettled ?? (await this.#whyNot(fault, context))
      const step = why === undefined ? await this.#try(fault, context) : notTried(fault.name, why)
      steps.push(step)
      if (why !== undefined) continue
      if (!(await this.#isSettled())) unsettled = `the service has not recovered from ${fault.name}`
    }
    return steps
  }

  /** Waits until every slot is served, and every request has ended that a fault may have delayed. */
  async #isSettled(): Promise<boolean> {
    const isServed = await this.#watch.isSettled(this.#settings.bootMs + SETTLE_MS)
    const since = performance.now()
    while (!this.#recorder.haveEnded(since)) await this.#watch.pause(POLL_MS)
    return isServed
  }

  async #rest(): Promise<Step> {
    this.#options.onProgress('rest')
    const load = this.#recorder.begin(true)
    await this.#watch.pause(REST_MS)
    if (!(await this.#watch.until(() => load.answered > 0, SETTLE_MS))) {
      throw new DrillError(`no request was answered in ${REST_MS + SETTLE_MS} ms, without a fault`)
    }
    return { fault: 'rest', ms: REST_MS, load }
  }

  async #whyNot(fault: Fault, context: FaultContext): Promise<string | undefined> {
    const cannot = await fault.cannot?.(context)
    if (cannot !== undefined) return cannot
    if (this.#recorder.isExhausted) return 'the number of requests is reached: see --max-requests'
    const isLate = performance.now() + fault.needsMs(context) + END_MS > this.#deadline
    return isLate ? 'there is no time left: see --seconds' : undefined
  }

  async #try(fault: Fault, context: FaultContext): Promise<Step> {
    this.#options.onProgress(fault.name)
    const startedAt = performance.now()
    const load: LoadCounts = this.#recorder.begin()
    const isOnly = readyWorkers(this.#watch.status).length < 2
    if (this.#metrics) this.#metrics.isJudged = !isOnly
    try {
      const seen = await fault.run(context)
      return { fault: fault.name, ms: performance.now() - startedAt, load, ...seen }
    } catch (error) {
      if (error instanceof Interrupted || error instanceof DrillError) throw error
      return { ...notTried(fault.name, (error as Error).message), load }
    } finally {
      if (this.#metrics) this.#metrics.isJudged = true
    }
  }

  #findRedis(): RedisCommands | undefined {
    const { runDir } = this.#target
    const isEmbedded = this.#settings.redis === 'embedded' && existsSync(join(runDir, 'redis.sock'))
    return isEmbedded ? new RedisCommands(runDir) : undefined
  }

  #describe([rest]: Step[]): Observations['service'] {
    const { address, redis, closesConnections } = this.#settings
    const { version, url, desired, scheduling } = this.#watch.status
    return {
      version,
      url,
      workers: desired,
      scheduling,
      redis,
      isSecure: address.isSecure,
      closesConnections: closesConnections || (rest?.load.closed ?? 0) > 0
    }
  }
}

const notTried = (fault: FaultName, skipped: string): Step => ({ fault, skipped, ms: 0, load: noLoad() })

const noRequests = ({ leftOut }: FoundRequests) =>
  `no request can be repeated:\n${leftOut.join('\n')}\nname others with --requests FILE`
