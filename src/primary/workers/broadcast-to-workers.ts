import { hostname } from 'node:os'
import type { Broadcast, DeliveryReport } from '../../ipc/messages.ts'
import type { WorkerChannel } from './fork.ts'

/** A worker, for what is asked of it. */
export interface WorkerPeer {
  slot: number
  pid: number
  status: 'starting' | 'ready' | 'draining'
  channel: WorkerChannel
}

/** A worker that is well answers a ping at once; in ms. */
export const PING_MS = 1000

/**
 * Brings a broadcast to every worker. Accounted for are those that are ready: one that starts hears it as soon as it has
 * its handlers, one that drains may be gone before it answers.
 */
export async function broadcastToWorkers(
  peers: WorkerPeer[],
  { deadlineMs, ...broadcast }: Broadcast & { deadlineMs: number }
): Promise<DeliveryReport> {
  const host = hostname()
  const answers = peers.map(async ({ slot, pid, status, channel }) => {
    const worker = { host, slot, pid }
    const answer = channel.request('deliver', broadcast, deadlineMs).then(
      () => worker,
      (error: Error) => ({ ...worker, why: error.message })
    )
    return status === 'ready' ? answer : undefined
  })
  const told = (await Promise.all(answers)).filter((answer) => answer !== undefined)
  return { acks: told.filter((answer) => !('why' in answer)), missing: told.filter((answer) => 'why' in answer) }
}

/** The ready worker that answers first, for what any of them can do. @returns undefined when none does */
export function firstToAnswer(peers: WorkerPeer[]): Promise<WorkerPeer | undefined> {
  const answers = peers
    .filter(({ status }) => status === 'ready')
    .map((peer) => peer.channel.request('ping', {}, PING_MS).then(() => peer))
  return Promise.any(answers).catch(() => undefined)
}
