import { normalTail } from './distributions.ts'
import { Random } from './random.ts'
import { runTrial, type TrialResult } from './run-trial.ts'
import { webTraffic } from './simulated-traffic.ts'
import type { Behaviour } from './simulated-trial.ts'

const OPTIONS = { alpha: 0.001, tolerance: 0.1 }
const MAX_SECONDS = 3600

interface Release {
  /** Requests per second to all workers. */
  traffic: number
  outcome: 'worse' | 'no worse'
  behaviour: Partial<Behaviour>
}

/** Releases as docs/explanation/verdict.md lists them, by the name in its table. */
export const RELEASES: Record<string, Release> = {
  'errors 1 % instead of 0.1 %': { traffic: 2000, outcome: 'worse', behaviour: { errors: 10, slow: slower(1, 1, 1) } },
  'p99 + 20 %, nothing else': { traffic: 10_000, outcome: 'worse', behaviour: { slow: slower(1, 1, 1.2) } },
  'p99 + 50 %, nothing else': { traffic: 2000, outcome: 'worse', behaviour: { slow: slower(1, 1, 1.5) } },
  'all latencies + 30 %': { traffic: 2000, outcome: 'worse', behaviour: { slow: slower(1.3, 1.3, 1.3) } },
  'CPU time + 30 %': { traffic: 2000, outcome: 'worse', behaviour: { cpu: 1.3, slow: slower(1, 1, 1) } },
  'event loop blocked for 200 ms, every 5 s': {
    traffic: 2000,
    outcome: 'worse',
    behaviour: { blocksPerSecond: 0.2, slow: slower(1, 1, 1) }
  },
  'leak of 10 KiB per request': {
    traffic: 2000,
    outcome: 'worse',
    behaviour: { leakPerRequest: 10_240, slow: slower(1, 1, 1) }
  },
  'leak of 50 KiB per request': {
    traffic: 2000,
    outcome: 'worse',
    behaviour: { leakPerRequest: 51_200, slow: slower(1, 1, 1) }
  },
  'nothing: it is no worse': { traffic: 2000, outcome: 'no worse', behaviour: { slow: slower(1, 1, 1) } }
}

/** Runs the trial of a release until it is decided, `count` times. */
export function trialsOf(name: string, count: number): TrialResult[] {
  const { traffic, behaviour } = RELEASES[name]!
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(Math.imul(i + 1, 0x9e3779b1) ^ 0x5bd1e995)
    return runTrial(random, webTraffic(random, traffic, 0.05), MAX_SECONDS, OPTIONS, behaviour, true)
  })
}

/**
 * Returns the odds of slow requests, relative to the control, where latencies are multiplied by the given factors: latencies are
 * log-normal with a standard deviation of 1, and the limits of the canary are higher by the tolerance.
 */
function slower(p50: number, p95: number, p99: number): Behaviour['slow'] {
  const odds = (share: number) => share / (1 - share)
  const ratio = (z: number, factor: number) =>
    odds(normalTail(z - Math.log(factor / (1 + OPTIONS.tolerance)))) / odds(normalTail(z))
  return [ratio(0, p50), ratio(1.645, p95), ratio(2.326, p99)]
}
