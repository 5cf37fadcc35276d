import type { Rebalance } from '../../ipc/messages.ts'

/** A connection, and how much it did while it was watched. */
export interface WatchedConnection<C> {
  connection: C
  /** The number of requests. */
  requests: number
}

/** At most so many connections move at once, those with the most requests. The load of all others stays. */
const MAX_MOVES = 256
/** A connection moves only to a worker that lacks this much more than the others, in event loops. */
const MIN_GAIN = 0.05

/**
 * Chooses the connections that go to other workers. Pure. The busiest connection is placed first, always where most load is
 * missing, and in this worker among equals: so a single busy connection stays, and of three, two go to different workers.
 * @returns the target of each connection that goes
 */
export function chooseConnections<C>(watched: readonly WatchedConnection<C>[], shares: Rebalance): Map<C, number> {
  const chosen = new Map<C, number>()
  const total = watched.reduce((sum, { requests }) => sum + requests, 0)
  if (total === 0) return chosen
  const busiest = watched
    .filter(({ requests }) => requests > 0)
    .sort((a, b) => b.requests - a.requests)
    .slice(0, MAX_MOVES)
  const considered = busiest.reduce((sum, { requests }) => sum + requests, 0)
  let own = shares.keep - (shares.utilization * (total - considered)) / total
  const bins = shares.targets.map(({ id, amount }) => ({ id, amount }))
  for (const { connection, requests } of busiest) {
    const load = (shares.utilization * requests) / total
    const best = bins.reduce((a, b) => (b.amount > a.amount ? b : a), { id: -1, amount: own + MIN_GAIN })
    if (best.id === -1) own -= load
    else {
      best.amount -= load
      chosen.set(connection, best.id)
    }
  }
  return chosen
}
