import { hostname } from 'node:os'
import { RpcRefusal } from '../../ipc/channel.ts'
import type { Broadcast, DeliveryReport } from '../../ipc/messages.ts'
import type { WorkerChannel } from './fork.ts'

/** A worker as the target of requests. */
export interface WorkerPeer {
  slot: number
  pid: number
  status: 'starting' | 'ready' | 'draining'
  channel: WorkerChannel
}

/** How long a worker may take to answer a ping, in ms. A healthy one answers at once. */
export const PING_MS = 1000

/**
 * Sends a broadcast to every worker. The report covers the ready ones: a starting worker handles the broadcast as soon as its
 * handlers exist, and a draining one may exit before it answers.
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
  const results = (await Promise.all(answers)).filter((answer) => answer !== undefined)
  return {
    acks: results.filter((result) => !('why' in result)),
    missing: results.filter((result) => 'why' in result)
  }
}

/** Finds the ready worker that answers a ping first: one that has too many requests answers too. @returns undefined when none answers */
export function firstToAnswer(peers: WorkerPeer[]): Promise<WorkerPeer | undefined> {
  const answers = peers
    .filter(({ status }) => status === 'ready')
    .map(async (peer) => {
      await peer.channel.request('ping', {}, PING_MS).catch((error) => {
        if (!(error instanceof RpcRefusal)) throw error
      })
      return peer
    })
  return Promise.any(answers).catch(() => undefined)
}
