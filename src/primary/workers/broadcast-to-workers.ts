import { hostname } from 'node:os'
import type { Broadcast, Told } from '../../ipc/messages.ts'
import type { WorkerChannel } from './fork.ts'

/** A worker, for what is asked of it. */
export interface Peer {
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
export async function relay(
  peers: Peer[],
  { deadlineMs, ...broadcast }: Broadcast & { deadlineMs: number }
): Promise<Told> {
  const host = hostname()
  const answers = peers.map(async ({ slot, pid, status, channel }) => {
    const worker = { host, slot, pid }
    const answer = channel.ask('deliver', broadcast, deadlineMs).then(
      () => worker,
      (error: Error) => ({ ...worker, why: error.message })
    )
    return status === 'ready' ? answer : undefined
  })
  const told = (await Promise.all(answers)).filter((answer) => answer !== undefined)
  return { acks: told.filter((answer) => !('why' in answer)), missing: told.filter((answer) => 'why' in answer) }
}

/** The ready worker that answers first, for what any of them can do. @returns undefined when none does */
export function anyOf(peers: Peer[]): Promise<Peer | undefined> {
  const answers = peers
    .filter(({ status }) => status === 'ready')
    .map((peer) => peer.channel.ask('ping', {}, PING_MS).then(() => peer))
  return Promise.any(answers).catch(() => undefined)
}
