import { Random } from '../helpers/random.ts'
import { VISIT_KINDS, type Visit } from './clients/sim-client.ts'

/** A command of an operator, or a fault. `at` is in ms since the start. */
export type Incident = { at: number } & (
  | { kind: 'reload'; forMs?: number; share?: number }
  | { kind: 'deploy'; boots: 'well' | 'reports that it cannot' | 'dies' | 'never'; errors: number; forMs?: number }
  | { kind: 'scale'; workers: number }
  | { kind: 'recycle' | 'garbage' | 'memory'; slot: number }
  /** The worker dies at this message that it sends or receives, counted from 1. */
  | { kind: 'crash'; slot: number; messages: number }
  | { kind: 'hang'; slot: number; how: 'loop' | 'asleep' }
  | { kind: 'stall'; slot: number; ms: number; how: 'starved' | 'loop' | 'asleep' }
  | { kind: 'stall primary'; ms: number }
  | { kind: 'forks fail'; ms: number; how: 'throws' | 'error' }
  | { kind: 'slow channels'; ms: number; delayMs: number }
  | { kind: 'slow boots'; ms: number; bootMs: number }
  | { kind: 'descriptors lost'; count: number }
  | { kind: 'rebalance'; slot: number }
  | { kind: 'promote' }
)

/** Everything that happens from outside. It follows from a seed, and can be made smaller. */
export interface SimPlan {
  seed: number
  workers: number
  /** The number of slots that a rollout may replace at a time. */
  surge: number
  hours: number
  end: 'stop' | 'primary dies'
  incidents: Incident[]
  visits: Visit[]
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

/** Makes the plan of a seed: storms of faults and commands under traffic, with calm times between them. */
export function planOf(seed: number, hours: number): SimPlan {
  const random = new Random(seed)
  const incidents: Incident[] = []
  const visits: Visit[] = []
  const workers = random.between(1, 4)
  for (let at = 5 * MINUTE_MS; at < hours * HOUR_MS - 10 * MINUTE_MS; at += random.between(10, 60) * MINUTE_MS) {
    for (let i = random.between(1, 5); i > 0; i--) {
      incidents.push(incidentAt(at + spread(random), workers, random))
    }
    for (let i = random.between(4, 14); i > 0; i--) visits.push(visitAt(at - 8000 + random.between(0, 16_000), random))
    // One client in the calm time.
    visits.push(visitAt(at + random.between(4, 8) * MINUTE_MS, random))
  }
  const end = random.chance(0.8) ? 'stop' : 'primary dies'
  const last = hours * HOUR_MS
  for (let i = random.between(0, 6); i > 0; i--) visits.push(visitAt(last - random.between(0, 5000), random))
  const byTime = (a: { at: number }, b: { at: number }) => a.at - b.at
  const surge = random.between(1, 3)
  return { seed, workers, surge, hours, end, incidents: incidents.sort(byTime), visits: visits.sort(byTime) }
}

/** Most faults come close together, some in the middle of what others have begun. */
const spread = (random: Random) => (random.chance(0.6) ? random.between(0, 2000) : random.between(0, 20_000))

function visitAt(at: number, random: Random): Visit {
  return {
    at,
    kind: VISIT_KINDS[random.between(0, VISIT_KINDS.length - 1)]!,
    count: random.between(1, 10),
    workMs: random.chance(0.8) ? random.between(1, 300) : random.between(300, 8000),
    thinkMs: random.chance(0.7) ? random.between(1, 600) : random.between(600, 7000)
  }
}

function incidentAt(at: number, workers: number, random: Random): Incident {
  const slot = random.between(0, workers - 1)
  const pick = random.between(0, 99)
  const forMs = random.chance(0.4) ? { forMs: random.between(5, 40) * 1000 } : {}
  if (pick < 16) return { at, kind: 'reload', ...forMs, ...(random.chance(0.3) && { share: 0.3 }) }
  if (pick < 30) {
    const boots = (['well', 'well', 'well', 'reports that it cannot', 'dies', 'never'] as const)[random.between(0, 5)]!
    return { at, kind: 'deploy', boots, errors: random.chance(0.2) ? 0.5 : 0, ...forMs }
  }
  if (pick < 36) return { at, kind: 'scale', workers: random.between(1, 5) }
  if (pick < 44) return { at, kind: 'recycle', slot }
  if (pick < 46) return { at, kind: 'garbage', slot }
  if (pick < 48) return { at, kind: 'memory', slot }
  if (pick < 64) return { at, kind: 'crash', slot, messages: random.chance(0.2) ? 1 : random.between(1, 60) }
  if (pick < 69) return { at, kind: 'hang', slot, how: random.chance(0.5) ? 'loop' : 'asleep' }
  if (pick < 75) {
    const how = (['starved', 'loop', 'asleep'] as const)[random.between(0, 2)]!
    return { at, kind: 'stall', slot, ms: random.between(20, 12_000), how }
  }
  if (pick < 80) return { at, kind: 'stall primary', ms: random.between(20, 15_000) }
  if (pick < 84)
    return { at, kind: 'forks fail', ms: random.between(100, 8000), how: random.chance(0.5) ? 'throws' : 'error' }
  if (pick < 88) return { at, kind: 'slow channels', ms: random.between(1000, 20_000), delayMs: random.between(1, 400) }
  if (pick < 90) return { at, kind: 'slow boots', ms: random.between(1000, 20_000), bootMs: random.between(100, 8000) }
  if (pick < 93) return { at, kind: 'descriptors lost', count: random.between(1, 4) }
  if (pick < 97) return { at, kind: 'rebalance', slot }
  return { at, kind: 'promote' }
}
