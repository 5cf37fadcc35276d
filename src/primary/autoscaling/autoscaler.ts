import type { AutoscalingStatus } from '../../admin/command-context.ts'
import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import { rangeText, type WorkerRange } from '../../common/worker-range.ts'
import { usableCpus } from '../../config/cpu-quota.ts'
import { HEARTBEAT_MS } from '../../ipc/messages.ts'
import type { Event } from '../policy/types.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { boundsOf } from './scaling-bounds.ts'
import { decideScale, type ScalingDecision, type ScalingLimit, type ScalingMemory } from './scaling-rule.ts'
import { type MeasuredWorker, measureWorkers } from './worker-loads.ts'

export interface AutoscalerOptions {
  supervisor: Supervisor
  /** The range of the configuration; undefined: the number of workers is fixed. */
  range: WorkerRange | undefined
  scaleDownMs: number
  /** The CPU quota in cores; undefined without one. */
  cpuQuota: number | undefined
  /** The memory that the service may use. */
  memoryBytes: number
  journal: (event: JournalEvent) => void
  log: Logger
}

/** The longest of so many boots is what a further one is expected to take. */
const BOOTS = 5

/** Lets the load decide how many workers there are. Measures every second, also while the number is fixed. */
export class Autoscaler {
  /** The range of the configuration. */
  readonly configured: WorkerRange | undefined
  /** How often the number rose and fell by the load. */
  readonly decisions = { up: 0, down: 0 }
  readonly #options: AutoscalerOptions
  #range: WorkerRange | undefined
  #memory: ScalingMemory = { peaks: [] }
  #last: AutoscalingStatus['last'] = null
  #limit: ScalingLimit | undefined
  #load = 0
  /** Durations of the last boots, in ms. */
  #boots: number[] = []
  readonly #forkedAt = new Map<number, number>()

  constructor(options: AutoscalerOptions) {
    this.#options = options
    this.configured = options.range
    this.#range = options.range
    options.supervisor.pool.on('event', (event) => this.#timeBoot(event))
  }

  start(): void {
    const { range, log } = this.#options
    const cpus = usableCpus()
    if (range && range.max > cpus) log.warn({ workers: rangeText(range), cpus }, 'range of workers exceeds the CPUs')
    setInterval(() => this.#tick(), HEARTBEAT_MS).unref()
  }

  /** Sets the range in which the load decides; undefined: the number stays as it is. */
  setRange(range: WorkerRange | undefined): void {
    const before = this.#range
    this.#range = range
    this.#limit = undefined
    if (before && !range) this.#options.log.info({ workers: rangeText(before) }, 'autoscaling off')
    if (range) this.#options.log.info({ workers: rangeText(range) }, 'autoscaling on')
  }

  /** The load of all workers, in event loops. */
  get load(): number {
    return this.#load
  }

  /** What prevents a higher number of workers that the load asks for. */
  get limit(): ScalingLimit | undefined {
    return this.#limit
  }

  get range(): WorkerRange | undefined {
    return this.#range
  }

  /** @returns null while the number of workers is fixed and the configuration has no range */
  status(): AutoscalingStatus | null {
    if (!this.#range && !this.configured) return null
    return {
      range: this.#range ? rangeText(this.#range) : null,
      load: Math.round(this.#load * 100) / 100,
      limit: this.#limit ?? null,
      last: this.#last
    }
  }

  #tick(): void {
    const { supervisor } = this.#options
    const { state, pool } = supervisor
    // During an upgrade, each primary sees a part of the workers.
    if (state.phase !== 'running' || !state.everReady || state.share) return
    const now = supervisor.now()
    const workers = measureWorkers({ state, pool, now })
    const measured = workers.filter(({ utilization }) => utilization !== undefined)
    this.#load = measured.reduce((sum, { utilization = 0 }) => sum + utilization, 0)
    if (!this.#range) return
    const sample = {
      now,
      load: this.#load,
      measured: measured.filter((worker) => worker.serves).length,
      desired: state.desired,
      bootMs: Math.max(0, ...this.#boots),
      isReloading: state.rollout !== undefined
    }
    const decision = decideScale(this.#memory, sample, this.#bounds(this.#range, workers))
    this.#memory = decision.memory
    this.#noteLimit(decision)
    if (decision.target !== state.desired) this.#scale(decision, state.desired)
  }

  #bounds(range: WorkerRange, workers: readonly MeasuredWorker[]) {
    const { cpuQuota, memoryBytes, scaleDownMs, supervisor } = this.#options
    const serving = workers.filter((worker) => worker.serves && worker.rssBytes > 0).map(({ rssBytes }) => rssBytes)
    const others = supervisor.state.workers.filter(({ status }) => status === 'draining')
    const otherBytes = others.reduce((sum, { rssBytes = 0 }) => sum + rssBytes, process.memoryUsage.rss())
    return boundsOf(range, { cpuQuota, memoryBytes, workers: serving, otherBytes }, scaleDownMs)
  }

  #scale({ target, why = '' }: ScalingDecision, from: number): void {
    const { supervisor, journal, log } = this.#options
    this.decisions[target > from ? 'up' : 'down']++
    this.#last = { at: new Date().toISOString(), from, to: target, why }
    log.info({ from, to: target, why }, 'workers scaled')
    journal({ event: 'scales', why, from, to: target })
    supervisor.handle({ type: 'scale', desired: target, cause: why })
  }

  /** The range is what the operator wants; a limit of the host is worth a line when it begins to matter. */
  #noteLimit({ limit, why }: ScalingDecision): void {
    if (limit !== this.#limit && limit !== undefined && limit !== 'range') {
      this.#options.log.warn({ limit, why }, 'autoscaling limited')
    }
    this.#limit = limit
  }

  #timeBoot(event: Event): void {
    if (event.type === 'forked') this.#forkedAt.set(event.id, performance.now())
    if (event.type !== 'ready' && event.type !== 'exit') return
    const forkedAt = this.#forkedAt.get(event.id)
    this.#forkedAt.delete(event.id)
    if (event.type === 'exit' || forkedAt === undefined) return
    this.#boots = [...this.#boots, performance.now() - forkedAt].slice(-BOOTS)
  }
}
