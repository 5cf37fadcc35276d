/** Chooses a worker for a connection. Pure. There is none while every worker has as many unanswered connections as it may have. */

export interface Candidate {
  readonly id: number
  readonly slot: number
  /** How many more connections the worker can take beside those that it has accepted; undefined: enough. */
  readonly room?: number | undefined
  /** The worker can continue what another one has begun. */
  readonly resumes?: boolean
  /** A worker of another primary. */
  readonly isRemote?: boolean
}

/** The load of the workers at the moment of a choice. */
export interface Load {
  /** By worker id: connections that it was offered and has not accepted yet. */
  readonly unanswered: ReadonlyMap<number, number>
  /** Ids of workers that left a connection unanswered for long and have not answered the ping after it. */
  readonly silent: ReadonlySet<number>
  /** Increases by one with every choice. */
  readonly turn: number
}

export interface RoutingHint {
  /** The client's address, for sticky scheduling. */
  readonly client?: string | undefined
  /** The slot of the worker that transferred the connection. */
  readonly slot?: number | undefined
  /** The connection is in use: its next worker should be the one that replaces the last. */
  readonly resumes?: boolean | undefined
  /** Id of the worker that should get the connection while it can take it. */
  readonly prefer?: number | undefined
  /** The connection must go to a worker of this primary. */
  readonly isLocal?: boolean | undefined
  /** Id of a worker that could not be reached with this connection. */
  readonly avoid?: number | undefined
}

export type BalancingPolicy = <T extends Candidate>(
  targets: readonly T[],
  load: Load,
  hint: RoutingHint
) => T | undefined

/** How many connections may be unanswered at one worker. A hung worker is skipped instead of collecting connections. */
const WINDOW = 4
/** One client may open hundreds of connections at once, all for the same worker. A hung worker is recognized by its silence. */
const STICKY_WINDOW = 1024

/** Chooses the worker with the fewest unanswered connections, in turn among equals. */
export const roundRobin: BalancingPolicy = (targets, load, hint) => fewest(targets, load, hint, WINDOW)

/**
 * Chooses a worker by the rendezvous hash of the client and the slot number. A slot that is added or removed moves only the
 * clients that it gains or had; which worker serves the slot does not matter. Of two workers of one slot, the newer one is
 * chosen. If the best slot has no worker that can take the connection, the next best is chosen. A transferred connection
 * stays with its slot while that is served.
 */
export const sticky: BalancingPolicy = (targets, load, hint) => {
  const { client, slot, avoid } = hint
  if (client === undefined && !targets.some((target) => target.slot === slot)) {
    return fewest(targets, load, hint, STICKY_WINDOW)
  }
  const seed = hash(client ?? '')
  let best: (typeof targets)[number] | undefined
  let bestScore = -1
  for (const target of targets) {
    const { id } = target
    const unanswered = load.unanswered.get(id) ?? 0
    if (id === avoid || load.silent.has(id) || unanswered >= STICKY_WINDOW || !hasRoom(target, unanswered)) continue
    const score = target.slot === slot ? Number.POSITIVE_INFINITY : scoreOf(seed, target.slot)
    if (score > bestScore || (score === bestScore && best !== undefined && id > best.id)) {
      bestScore = score
      best = target
    }
  }
  return best
}

/**
 * Chooses for connections in use: the successor in their slot while it can take them. In a rollout, another slot may still have a
 * worker of the old release, which would move them again. Other connections are routed by `policy`.
 */
export const successorFirst =
  (policy: BalancingPolicy): BalancingPolicy =>
  (targets, load, hint) => {
    if (!hint.resumes) return preferred(targets, load, hint) ?? policy(targets, load, hint)
    const able = targets.filter(({ resumes }) => resumes)
    const successors = able.filter((target) => target.slot === hint.slot && canTake(target, load, hint))
    return fewest(successors.length > 0 ? successors : able, load, hint, WINDOW)
  }

const preferred = <T extends Candidate>(targets: readonly T[], load: Load, hint: RoutingHint) =>
  hint.prefer === undefined
    ? undefined
    : targets.find((target) => target.id === hint.prefer && canTake(target, load, hint))

/**
 * Chooses a worker of this primary for new connections while it has one. Those that leave a worker may go to another primary at once:
 * otherwise the last worker would collect them all. The workers of slots are where sticky clients belong.
 */
export const localFirst =
  (policy: BalancingPolicy, isSticky: boolean): BalancingPolicy =>
  (targets, load, hint) => {
    if (!targets.some(({ isRemote }) => isRemote)) return policy(targets, load, hint)
    const local = targets.filter(({ isRemote }) => !isRemote)
    if (hint.isLocal) return policy(local, load, hint)
    const isNew = hint.slot === undefined && !isSticky
    return policy(isNew && local.length > 0 ? local : targets, load, hint)
  }

const canTake = (target: Candidate, load: Load, { avoid }: RoutingHint) =>
  target.id !== avoid && !load.silent.has(target.id) && hasRoom(target, load.unanswered.get(target.id) ?? 0)

const hasRoom = ({ room }: Candidate, unanswered: number) => room === undefined || unanswered < room

function fewest<T extends Candidate>(
  targets: readonly T[],
  load: Load,
  hint: RoutingHint,
  window: number
): T | undefined {
  let best: T | undefined
  let least = window
  for (let i = 0; i < targets.length; i++) {
    const target = targets[(load.turn + i) % targets.length]!
    const unanswered = load.unanswered.get(target.id) ?? 0
    if (unanswered < least && hasRoom(target, unanswered) && target.id !== hint.avoid) {
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

/** @returns a number from 0 to 1 that depends on the client and the seed only */
export const unitHash = (client: string, seed: number) => scoreOf(hash(client), seed) / 2 ** 32

/** The last steps of MurmurHash3: a bijection, so no two slots have the same score for one client. */
function scoreOf(seed: number, slot: number): number {
  let mixed = seed ^ Math.imul(slot + 1, 0x9e3779b1)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
