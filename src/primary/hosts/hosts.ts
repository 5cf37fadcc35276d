import type { KnownHosts, ServiceStatus } from '../../admin/command-context.ts'
import type { HostReport } from '../../ipc/host-messages.ts'
import type { AskHosts } from './ask-hosts.ts'
import { hostReport } from './host-report.ts'

/** A host vanishes from the list when it has not announced itself for this many times its interval: after three missed heartbeats. */
const TTL_BEATS = 3.5
const MIN_TTL_MS = 2000

export interface HostsOptions {
  id: string
  /** Whether other hosts can use the same Redis. */
  redis: 'shared' | 'embedded' | 'off'
  /** Time between two heartbeats of this host, in ms; 0: none. */
  heartbeatMs: number
  status: () => ServiceStatus
  /** Returns the id of the release that serves. */
  release: () => string
  ask: AskHosts
}

/** Announces this host in Redis, and lists all hosts that do. Nothing else depends on it, so its errors change nothing. */
export class Hosts {
  readonly #options: HostsOptions
  #isBeating = false

  constructor(options: HostsOptions) {
    this.#options = options
  }

  start(): void {
    const { redis, heartbeatMs } = this.#options
    if (redis !== 'shared' || heartbeatMs === 0) return
    void this.#beat()
    setInterval(() => void this.#beat(), heartbeatMs).unref()
  }

  async list(): Promise<KnownHosts> {
    const own = { ...this.#report(), ageMs: 0 }
    const note = this.#note()
    const notes = note === undefined ? {} : { hostsNote: note }
    if (this.#options.redis !== 'shared') return { hosts: [own], hostsKnown: true, ...notes }
    try {
      const others = (await this.#options.ask('hosts-list', {})).filter(({ id }) => id !== own.id)
      return { hosts: [own, ...others], hostsKnown: true, ...notes }
    } catch (error) {
      const { message } = error as Error
      return { hosts: [own], hostsKnown: false, hostsNote: `${message}, hosts unknown` }
    }
  }

  #note(): string | undefined {
    const { redis, heartbeatMs } = this.#options
    if (redis === 'off') return 'REDIS=off: hosts know of each other only with a shared REDIS_URL'
    if (redis === 'embedded') return 'the embedded Redis is for this host alone: set REDIS_URL to share one'
    return heartbeatMs === 0 ? 'HOST_HEARTBEAT=0: other hosts do not see this one' : undefined
  }

  #report(): HostReport {
    const { id, release, status } = this.#options
    return hostReport(id, release(), status())
  }

  /** A heartbeat that fails is not repeated: the next one follows soon, and the log says when Redis is away. */
  async #beat(): Promise<void> {
    if (this.#isBeating) return
    this.#isBeating = true
    const ttlMs = Math.max(MIN_TTL_MS, Math.ceil(TTL_BEATS * this.#options.heartbeatMs))
    try {
      await this.#options.ask('host-beat', { report: this.#report(), ttlMs })
    } catch {
      // See above.
    } finally {
      this.#isBeating = false
    }
  }
}
