/** Which worker gets a connection, pure: none while every one has as many unanswered as it may have. */

export interface Candidate {
  readonly id: number
  readonly slot: number
  /** How many more connections it can take beside those that it has answered; undefined: plenty. */
  readonly room?: number | undefined
}

/** What is known of the workers at the moment of a choice. */
export interface Load {
  /** By worker id: connections that it was given and has not answered yet. */
  readonly unanswered: ReadonlyMap<number, number>
  /** Ids of workers that have left a connection unanswered for long, and so far the question after it too. */
  readonly silent: ReadonlySet<number>
  /** One more at every choice. */
  readonly turn: number
}

export interface RoutingHint {
  /** The client's address, where it decides. */
  readonly client?: string | undefined
  /** The slot that the connection was at before. */
  readonly slot?: number | undefined
  /** A worker that could not be reached with it. */
  readonly avoid?: number | undefined
}

export type BalancingPolicy = <T extends Candidate>(
  targets: readonly T[],
  load: Load,
  wish: RoutingHint
) => T | undefined

/** How many connections may be unanswered at one worker: one that hangs is passed over instead of piling them up. */
const WINDOW = 4
/** A client that opens hundreds at once is to get the same worker for all; one that hangs is known by its silence. */
const STICKY_WINDOW = 1024

/** The worker with the fewest unanswered connections; in turn among equals. */
export const roundRobin: BalancingPolicy = (targets, load, wish) => fewest(targets, load, wish, WINDOW)

/**
 * The best worker by rendezvous hash of client and slot number: a slot that comes or goes moves only the clients that
 * it gains or had, and who serves the slot does not matter. Of two workers of a slot the newest. Where the best slot
 * has none that can take it, the next best. A connection that changes hands stays with its slot while that is served.
 */
export const sticky: BalancingPolicy = (targets, load, wish) => {
  const { client, slot, avoid } = wish
  if (client === undefined && !targets.some((target) => target.slot === slot)) {
    return fewest(targets, load, wish, STICKY_WINDOW)
  }
  const seed = hash(client ?? '')
  let best: (typeof targets)[number] | undefined
  let most = -1
  for (const target of targets) {
    const { id } = target
    const unanswered = load.unanswered.get(id) ?? 0
    if (id === avoid || load.silent.has(id) || unanswered >= STICKY_WINDOW || !hasRoom(target, unanswered)) continue
    const score = target.slot === slot ? Number.POSITIVE_INFINITY : scoreOf(seed, target.slot)
    if (score > most || (score === most && best !== undefined && id > best.id)) {
      most = score
      best = target
    }
  }
  return best
}

const hasRoom = ({ room }: Candidate, unanswered: number) => room === undefined || unanswered < room

function fewest<T extends Candidate>(
  targets: readonly T[],
  load: Load,
  wish: RoutingHint,
  window: number
): T | undefined {
  let best: T | undefined
  let least = window
  for (let i = 0; i < targets.length; i++) {
    const target = targets[(load.turn + i) % targets.length]!
    const unanswered = load.unanswered.get(target.id) ?? 0
    if (unanswered < least && hasRoom(target, unanswered) && target.id !== wish.avoid) {
      least = unanswered
      best = target
    }
  }
  return best
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let hashed = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hashed = Math.imul(hashed ^ text.charCodeAt(i), 0x01000193)
  return hashed
}

/** The last steps of MurmurHash3, which let no two slots score the same for one client. */
function scoreOf(seed: number, slot: number): number {
  let mixed = seed ^ Math.imul(slot + 1, 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
