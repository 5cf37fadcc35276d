import type { ExitedWorker, QuarantineKeeper } from '../quarantine/quarantine-keeper.ts'
import type { PrimaryChannel } from './upgrade-messages.ts'

/** No worker of this primary has this id. */
const OF_ANOTHER_PRIMARY = -1

/**
 * Lets the primary in charge decide about quarantines, for the workers of both: it tells the other one what it has decided, and learns from
 * it which workers have exited.
 * @returns a function that ends it
 */
export function mirrorQuarantines(channel: PrimaryChannel, keeper: QuarantineKeeper): () => void {
  const sendDecided = () => void channel.notify({ type: 'quarantines', snapshot: keeper.snapshot() })
  const sendExited = (worker: ExitedWorker, inRollout: boolean) => {
    if (keeper.leader === channel) void channel.notify({ type: 'worker-exited', worker, inRollout })
  }
  channel.on('quarantines', ({ snapshot }) => {
    if (keeper.leader === channel) keeper.restore(snapshot)
  })
  channel.on('worker-exited', ({ worker, inRollout }) =>
    keeper.workerExited({ ...worker, id: OF_ANOTHER_PRIMARY }, inRollout)
  )
  keeper.on('decided', sendDecided)
  keeper.on('followed', sendExited)
  return () => {
    keeper.off('decided', sendDecided)
    keeper.off('followed', sendExited)
  }
}
