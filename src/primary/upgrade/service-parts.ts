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
import type { QuarantineKeeper } from '../quarantine/quarantine-keeper.ts'
import type { Supervisor } from '../workers/supervisor.ts'
import { mirrorQuarantines } from './mirrored-quarantines.ts'
import type { RemoteWorkers } from './remote-workers.ts'
import type { PrimaryChannel } from './upgrade-messages.ts'

/** The parts of a primary that an upgrade concerns. */
export interface ServiceParts {
  config: Config
  supervisor: Supervisor
  autoscaler: Autoscaler
  ports: ListeningPorts
  redis: RedisService
  keeper: QuarantineKeeper
  ticketKeys: TicketKeys | undefined
  adminSocket: AdminSocket
  metrics: CombinedMetrics
  control: ServiceControl
  journal: JournalFile
  version: string
  log: Logger
}

/** The worker that asks for metrics waits for 2 s, and its primary asks its own workers as well. */
const COLLECT_MS = 800
const REFRESH_MS = 1000

/**
 * Connects what two primaries do in the same way while both of them run the service. What one tells is passed on: a primary that
 * waits for its last workers knows both the one that it has replaced and the one that replaces it.
 * @param onEnded called when the other primary has told its last counters @returns a function that ends it
 */
export function connectPrimaries(channel: PrimaryChannel, parts: ServiceParts, onEnded = () => {}): () => void {
  const { supervisor, metrics, control, journal, keeper } = parts
  const endMirror = mirrorQuarantines(channel, keeper)
  channel.respond('collect', () => metrics.all(channel))
  metrics.connect(channel, () => channel.request('collect', {}, COLLECT_MS))
  channel.on('last-counters', ({ collection }) => {
    metrics.disconnect(channel, collection)
    onEnded()
  })
  channel.on('journal', ({ entry }) => journal.publish(entry, channel))
  channel.on('workers', ({ workers }) => void control.remoteWorkers.set(channel, workers))
  const unwatch = journal.watch((entry, source) => {
    if (source !== channel) void channel.notify({ type: 'journal', entry })
  })
  const sendWorkers = () => void channel.notify({ type: 'workers', workers: control.workers(channel) })
  supervisor.on('change', sendWorkers)
  sendWorkers()
  // If the other primary is killed, what it has told last is what remains.
  const timer = setInterval(() => {
    sendWorkers()
    void metrics.refresh()
  }, REFRESH_MS)
  return () => {
    clearInterval(timer)
    endMirror()
    supervisor.off('change', sendWorkers)
    unwatch()
    control.remoteWorkers.delete(channel)
    metrics.disconnect(channel)
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
