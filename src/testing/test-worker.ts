import { hostname } from 'node:os'
import { type Logger, pino } from 'pino'
import { logOptions } from '../common/log.ts'
import { createPrinter } from '../common/pretty-log.ts'
import type { Config } from '../config/load.ts'
import type { DeliveryReport, ServiceView } from '../ipc/messages.ts'
import { RedisConnection } from '../state/redis/redis-connection.ts'
import { SessionSecrets } from '../state/sessions/session-secrets.ts'
import { SharedState } from '../state/shared/shared-state.ts'

/** How long functions under a lock may run on when a test app is closed, in ms. */
const CLOSE_MS = 10_000
const GENERATION = 1

/** What the workers of one service have in common, as its primary knows it. */
export interface TestService {
  /** Of its Redis; undefined with REDIS=off. */
  redisUrl: string | undefined
  redisPrefix: string
  /** Identifies it among the hosts that share its Redis. */
  instance: string
  workers: Set<TestWorker>
}

/** The state of one worker, without a process of its own. */
export class TestWorker {
  readonly info: { slot: number; pid: number; generation: number; host: string }
  readonly redis: RedisConnection
  readonly shared: SharedState
  readonly sessionSecrets: SessionSecrets
  readonly log: Logger
  readonly #draining = new AbortController()
  readonly #service: TestService

  constructor(config: Config, service: TestService) {
    this.#service = service
    this.info = { slot: service.workers.size, pid: process.pid, generation: GENERATION, host: hostname() }
    this.log = createTestLog(config, this.info.slot)
    const { timeoutMs, ca, off } = config.redis
    const options = { ca, off, prefix: service.redisPrefix }
    this.redis = new RedisConnection(service.redisUrl ?? 'redis://127.0.0.1', timeoutMs, this.log, options)
    this.sessionSecrets = new SessionSecrets(this.redis, this.log, config.session.secrets)
    this.shared = new SharedState({
      connection: this.redis,
      log: this.log,
      self: this.info,
      instance: service.instance,
      draining: this.draining,
      relay: ({ deadlineMs: _, ...message }) => broadcast(service, message)
    })
  }

  /** Aborted when the app is closed. */
  get draining(): AbortSignal {
    return this.#draining.signal
  }

  /** Connects, and joins the service. */
  async start(): Promise<void> {
    await this.redis.start(async () => {
      await this.sessionSecrets.check()
      await this.shared.settings.read()
    })
    this.#service.workers.add(this)
  }

  /** Ends streams, and waits for functions under a lock. */
  async drain(): Promise<void> {
    this.#draining.abort()
    await this.shared.ended(CLOSE_MS)
  }

  stop(): void {
    this.#service.workers.delete(this)
    this.shared.stop()
    this.redis.stop()
  }
}

/** The state of the service, as its primary would report it. */
export function viewOf({ workers, redisUrl }: TestService): ServiceView {
  const ready = [...workers].map(({ info: { slot, pid, generation } }) => ({
    slot,
    pid,
    generation,
    status: 'ready' as const
  }))
  return { state: 'running', desired: ready.length, workers: ready, redis: redisUrl !== undefined }
}

/** Gives a broadcast to all workers of the service, as its primary does. */
async function broadcast(
  { workers }: TestService,
  message: { topic: string; payload: string }
): Promise<DeliveryReport> {
  const report: DeliveryReport = { acks: [], missing: [] }
  const deliver = async ({ shared, info: { slot, pid, host } }: TestWorker) => {
    try {
      await shared.deliver(message)
      report.acks.push({ slot, pid, host })
    } catch (error) {
      report.missing.push({ slot, pid, host, why: (error as Error).message })
    }
  }
  await Promise.all([...workers].map(deliver))
  return report
}

/** A readable log on standard error, because standard output belongs to the test runner. */
export function createTestLog(config: Config, slot: number): Logger {
  const print = createPrinter({
    hasColours: process.stderr.isTTY === true,
    showsAll: ['debug', 'trace'].includes(config.logLevel)
  })
  const write = (line: string) => void process.stderr.write(print(line))
  return pino(logOptions(config, { role: 'worker', worker: slot, generation: GENERATION }), { write })
}
