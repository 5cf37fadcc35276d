import type { JournalFile } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import type { Autoscaler } from '../autoscaling/autoscaler.ts'
import type { AdminSocket } from '../control/admin-socket.ts'
import type { ServiceControl } from '../control/service-control.ts'
import type { RedisService } from '../embedded-redis/redis-service.ts'
import type { ListeningPorts } from '../listener/listening-ports.ts'
import type { TicketKeys } from '../listener/ticket-keys.ts'
import type { CombinedMetrics } from '../metrics/combined-metrics.ts'
import { isWaitedFor, type Share, type State } from '../policy/types.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import type { RemoteWorkers } from './remote-workers.ts'
import type { PrimaryChannel } from './upgrade-messages.ts'

/** The parts of a primary that an upgrade concerns. */
export interface ServiceParts {
  config: Config
  supervisor: Supervisor
  autoscaler: Autoscaler
  ports: ListeningPorts
  redis: RedisService
  ticketKeys: TicketKeys | undefined
  adminSocket: AdminSocket
  metrics: CombinedMetrics
  control: ServiceControl
  journal: JournalFile
  version: string
  log: Logger
}

const COLLECT_MS = 1500
const REFRESH_MS = 1000

/** Connects what both primaries do in the same way while two of them run the service. @returns a function that ends it */
export function connectPrimaries(channel: PrimaryChannel, parts: ServiceParts): () => void {
  const { supervisor, metrics, control, journal } = parts
  channel.respond('collect', () => metrics.own())
  metrics.connect(() => channel.request('collect', {}, COLLECT_MS))
  channel.on('last-counters', ({ collection }) => metrics.disconnect(collection))
  channel.on('journal', ({ entry }) => journal.publish(entry))
  channel.on('workers', ({ workers }) => {
    control.remoteWorkers = workers
  })
  journal.onRecord = (entry) => void channel.notify({ type: 'journal', entry })
  const sendWorkers = () => void channel.notify({ type: 'workers', workers: control.ownWorkers() })
  supervisor.on('change', sendWorkers)
  sendWorkers()
  // If the other primary is killed, what it has told last is what remains.
  const timer = setInterval(() => {
    sendWorkers()
    void metrics.refresh()
  }, REFRESH_MS)
  return () => {
    clearInterval(timer)
    supervisor.off('change', sendWorkers)
    journal.onRecord = undefined
    control.remoteWorkers = []
    metrics.disconnect()
  }
}

/** Sets the slots that this primary is in charge of, and where connections of the others go. */
export function shareSlots(
  supervisor: Supervisor,
  share: Share | undefined,
  remote: RemoteWorkers,
  slots: number[]
): void {
  supervisor.setRemoteTargets(remote.of(slots))
  supervisor.handle({ type: 'share', share })
}

/** Whether a worker of a slot at or beyond `from`, and below `to`, still has to leave. A lingering one is not waited for. */
export const hasLeaving = ({ workers }: State, from: number, to: number): boolean =>
  workers.some((worker) => worker.slot >= from && worker.slot < to && isWaitedFor(worker))

export const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
