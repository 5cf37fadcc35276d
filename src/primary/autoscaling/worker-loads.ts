import { HEARTBEAT_MS } from '../../ipc/messages.ts'
import { lingers, serves } from '../policy/types.ts'
import type { Supervisor } from '../workers/supervisor.ts'

/** The load of a worker that serves or drains. */
export interface MeasuredWorker {
  id: number
  slot: number
  serves: boolean
  /** The share of time in which its event loop was busy, 0 to 1; undefined before its first heartbeat. */
  utilization: number | undefined
  /** When its last heartbeat came, on the clock of the supervisor. */
  measuredAt: number
  /** How long it has had its status, in ms. */
  sinceMs: number
  rssBytes: number
}

/** A worker that is silent for longer is busy: its event loop did not turn. */
const SILENT_MS = 2.5 * HEARTBEAT_MS

/** Reads the last heartbeats. A worker that lingers is left out: its clients stay with it however many others there are. */
export function measureWorkers({
  state,
  pool,
  now
}: Pick<Supervisor, 'state' | 'pool'> & { now: number }): MeasuredWorker[] {
  return state.workers
    .filter((worker) => worker.status !== 'starting' && !lingers(worker))
    .map((worker) => {
      const heartbeat = pool.get(worker.id)?.heartbeat
      const isSilent = now - worker.lastHeartbeatAt > SILENT_MS
      return {
        id: worker.id,
        slot: worker.slot,
        serves: serves(worker),
        utilization: isSilent ? 1 : heartbeat?.utilization,
        measuredAt: worker.lastHeartbeatAt,
        sinceMs: now - worker.since,
        rssBytes: heartbeat?.rssBytes ?? 0
      }
    })
}
