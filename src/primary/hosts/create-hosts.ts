import { hostname } from 'node:os'
import type { ReloadOutcome, ServiceStatus } from '../../admin/command-context.ts'
import type { JournalFile } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { Releases } from '../rollout/release.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { askThroughWorkers } from './ask-hosts.ts'
import { Hosts, type HostsOptions } from './hosts.ts'
import { RolloutTurns, type RolloutTurnsOptions } from './rollout-turns.ts'

export interface HostSettings extends Pick<HostsOptions, 'redis' | 'heartbeatMs'> {
  /** Identifies the primary: no other primary on any host has the same. */
  instance: string
  /** Whether reloads of all hosts take turns. */
  takesTurns: boolean
  /** How long a worker may take for a command in Redis, in ms. */
  redisTimeoutMs: number
  onRefused: (outcome: ReloadOutcome) => void
}

export interface CreateHostsOptions extends Pick<RolloutTurnsOptions, 'roll' | 'onRefused'> {
  settings: HostSettings
  supervisor: Supervisor
  releases: Releases
  status: () => ServiceStatus
  journal: JournalFile
  log: Logger
}

/** Time for the way of a request to a worker and back, in ms. */
const CHANNEL_MS = 1000

/** Creates what this host has to do with others. `turns` is undefined when reloads begin at once. */
export function createHosts(options: CreateHostsOptions): { hosts: Hosts; turns: RolloutTurns | undefined } {
  const { settings, supervisor, releases, status, roll, onRefused, journal, log } = options
  const { redis, heartbeatMs, instance, takesTurns, redisTimeoutMs } = settings
  const host = hostname()
  const id = `${host}-${instance.slice(0, 8)}`
  const ask = askThroughWorkers(() => supervisor.pool.live(), redisTimeoutMs + CHANNEL_MS)
  const release = () => releases.of(supervisor.state.generation).id
  const hosts = new Hosts({ id, redis, heartbeatMs, status, release, ask })
  // An embedded Redis is for one host alone, which needs no turns.
  if (!takesTurns || redis !== 'shared') return { hosts, turns: undefined }
  const turns = new RolloutTurns({
    host,
    id,
    ask,
    release: () => releases.now().id,
    roll,
    fail: (cause) => supervisor.handle({ type: 'rollout-failed', cause }),
    generation: () => supervisor.state.generation,
    isStopping: () => supervisor.state.phase !== 'running',
    onRequested: () => supervisor.emit('turn-requested'),
    onRefused: (outcome) => {
      onRefused(outcome)
      supervisor.emit('turn-refused', outcome)
    },
    journal: (event) => journal.record(event),
    log
  })
  return { hosts, turns }
}
