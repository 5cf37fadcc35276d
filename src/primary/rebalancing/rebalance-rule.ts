import type { Rebalance } from '../../ipc/messages.ts'

/** A worker that serves, by its last heartbeat. */
export interface WorkerLoad {
  id: number
  /** The share of time in which its event loop was busy, 0 to 1. */
  utilization: number
  /** When the heartbeat came, in ms. */
  measuredAt: number
  /** It became ready a moment ago: it has no connections yet, and none of its load is known. */
  isNew: boolean
}

/** What a worker is asked to give to others. */
export interface RebalancePlan extends Rebalance {
  source: number
}

/** What the rule remembers from one decision to the next. */
export interface RebalanceMemory {
  /** By worker id: heartbeats in a row in which the worker was much busier than others, and when the last one came. */
  readonly streaks: ReadonlyMap<number, { length: number; measuredAt: number }>
  /** By worker id: the worker gives and gets nothing before this time, in ms. */
  readonly quietUntil: ReadonlyMap<number, number>
  /** By the id of a source: the workers that were to get connections from it. */
  readonly targets: ReadonlyMap<number, readonly number[]>
  /** By worker id: how long the worker rests after its next attempt that moves nothing, in ms. */
  readonly pauses: ReadonlyMap<number, number>
}

export const NO_MEMORY: RebalanceMemory = {
  streaks: new Map(),
  quietUntil: new Map(),
  targets: new Map(),
  pauses: new Map()
}

/** A worker below this utilisation keeps its connections: its requests do not wait. */
const BUSY = 0.5
/** A worker gives connections to those whose utilisation is lower by this much. */
const DIFFERENCE = 0.3
/** The difference must last for so many heartbeats, unless a worker is new. */
const STREAK = 2
/** Both workers rest after a move, until heartbeats show what it has changed. */
const REST_MS = 3000
/** The pause after an attempt that moved nothing doubles up to this time. */
const MAX_PAUSE_MS = 60_000

/**
 * Plans which workers give connections to which others. Pure; called a few times a second. All that differ enough from the busiest one
 * get their part at once. A worker gives or gets, and then rests, so that no connection goes to and fro. A worker that is new gets
 * its part whether the others rest or not.
 */
export function planRebalance(
  memory: RebalanceMemory,
  workers: readonly WorkerLoad[],
  now: number
): { memory: RebalanceMemory; plans: RebalancePlan[] } {
  const isRested = ({ id }: WorkerLoad) => (memory.quietUntil.get(id) ?? 0) <= now
  const least = Math.min(...workers.map(({ utilization }) => utilization))
  const busy = workers.filter(({ utilization }) => utilization >= BUSY && utilization - least >= DIFFERENCE)
  const streaks = new Map(busy.map((worker) => [worker.id, lengthen(memory.streaks.get(worker.id), worker)]))
  const hasNew = workers.some((worker) => worker.isNew && isRested(worker))
  const sources = busy
    .filter((worker) => (hasNew && !worker.isNew) || (isRested(worker) && streaks.get(worker.id)!.length >= STREAK))
    .sort((a, b) => b.utilization - a.utilization)
  const plans = share(sources, workers.filter(isRested))
  const involved = plans.flatMap(({ source, targets }) => [source, ...targets.map(({ id }) => id)])
  const quietUntil = new Map([
    ...keepOf(memory.quietUntil, workers),
    ...involved.map((id) => [id, now + REST_MS] as const)
  ])
  const planned = plans.map((plan) => [plan.source, plan.targets.map(({ id }) => id)] as const)
  const targets = new Map([...keepOf(memory.targets, workers), ...planned])
  return { memory: { streaks, quietUntil, targets, pauses: keepOf(memory.pauses, workers) }, plans }
}

/**
 * Takes the result of a plan into account: a worker that could move nothing is asked less and less often, and those that should
 * have got something need no rest.
 */
export function recordMoves(memory: RebalanceMemory, source: number, moved: number, now: number): RebalanceMemory {
  const pauses = new Map(memory.pauses)
  if (moved > 0) {
    pauses.delete(source)
    return { ...memory, pauses }
  }
  const pause = pauses.get(source) ?? REST_MS
  pauses.set(source, Math.min(MAX_PAUSE_MS, 2 * pause))
  const quietUntil = new Map(memory.quietUntil).set(source, now + pause)
  for (const id of memory.targets.get(source) ?? []) quietUntil.delete(id)
  return { ...memory, pauses, quietUntil }
}

function lengthen(streak = { length: 0, measuredAt: Number.NaN }, { measuredAt }: WorkerLoad) {
  return streak.measuredAt === measuredAt ? streak : { length: streak.length + 1, measuredAt }
}

/** Divides what the sources have above the mean among the workers that have less. */
function share(sources: readonly WorkerLoad[], rested: readonly WorkerLoad[]): RebalancePlan[] {
  const others = rested.filter((worker) => !sources.includes(worker))
  const all = [...sources, ...others]
  const mean = all.reduce((sum, { utilization }) => sum + utilization, 0) / all.length
  const room = others
    .map(({ id, utilization }) => ({ id, utilization, amount: mean - utilization }))
    .sort((a, b) => b.amount - a.amount)
  return sources.flatMap(({ id, utilization }): RebalancePlan[] => {
    let rest = utilization - mean
    const targets: RebalancePlan['targets'] = []
    for (const target of room) {
      const amount = Math.min(rest, target.amount)
      if (amount <= 0.01 || utilization - target.utilization < DIFFERENCE) continue
      targets.push({ id: target.id, amount })
      target.amount -= amount
      rest -= amount
    }
    return targets.length > 0 ? [{ source: id, utilization, keep: utilization - sumOf(targets), targets }] : []
  })
}

const sumOf = (targets: RebalancePlan['targets']) => targets.reduce((sum, { amount }) => sum + amount, 0)

const keepOf = <V>(values: ReadonlyMap<number, V>, workers: readonly WorkerLoad[]) =>
  new Map([...values].filter(([id]) => workers.some((worker) => worker.id === id)))
