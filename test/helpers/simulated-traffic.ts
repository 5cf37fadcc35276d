import { pareto } from './distributions.ts'
import type { Random } from './random.ts'
import type { StayingClient, Traffic, UnitKind } from './simulated-trial.ts'

/** Heavy-tailed connections: most clients ask once, some often, and a few stay. Kinds differ in everything. */
export function heavyTailedTraffic(random: Random, requestsPerSecond: number, share: number): Traffic {
  const errorRate = 10 ** (-4 + 2 * random.next())
  const period = 30 + 300 * random.next()
  const phase = 2 * Math.PI * random.next()
  const surge = 300 * random.next()
  const slowPeriod = 20 + 100 * random.next()
  const stayingShare = random.chance(0.5) ? 0.2 * random.next() : 0
  const kinds: UnitKind[] = [
    { weight: 0.3, requests: 1, errorRate, slow: [0.4, 0.02, 0.004], cpuMicros: 300 },
    { weight: 0.3, requests: 4, errorRate: errorRate / 2, slow: [0.6, 0.05, 0.01], cpuMicros: 400 },
    { weight: 0.2, requests: 12, errorRate, slow: [0.3, 0.03, 0.005], cpuMicros: 200 },
    // A few clients get nearly only errors, or nearly only slow answers.
    { weight: 0.01, requests: 20, errorRate: 0.5, slow: [0.5, 0.05, 0.01], cpuMicros: 500 },
    { weight: 0.19 - stayingShare * 0.9, requests: 10, errorRate, slow: [0.9, 0.2, 0.03], cpuMicros: 1500 }
  ]
  return {
    requestsPerSecond,
    share,
    kinds: kinds.filter(({ weight }) => weight > 0),
    staying: stayingClients(random, requestsPerSecond * stayingShare),
    loadAt: (second) =>
      (1 + 0.6 * Math.sin(phase + (2 * Math.PI * second) / period)) * (second > surge && second < surge + 10 ? 3 : 1),
    slownessAt: (second) => Math.exp(0.5 * Math.sin(phase + (2 * Math.PI * second) / slowPeriod))
  }
}

/** The traffic of a public web service: many clients, whose connections carry 1 to 12 requests. */
export function webTraffic(random: Random, requestsPerSecond: number, share: number): Traffic {
  const phase = 2 * Math.PI * random.next()
  return {
    requestsPerSecond,
    share,
    kinds: [
      { weight: 0.4, requests: 1, errorRate: 0.001, slow: [0.5, 0.05, 0.01], cpuMicros: 300 },
      { weight: 0.4, requests: 4, errorRate: 0.001, slow: [0.5, 0.04, 0.008], cpuMicros: 500 },
      { weight: 0.2, requests: 12, errorRate: 0.001, slow: [0.6, 0.07, 0.015], cpuMicros: 400 }
    ],
    staying: [],
    loadAt: (second) => 1 + 0.3 * Math.sin(phase + second / 20),
    slownessAt: (second) => Math.exp(0.2 * Math.sin(phase + second / 10))
  }
}

/** Clients whose requests are as different as can be, for example one that asks for a missing file for ever. */
function stayingClients(random: Random, requestsPerSecond: number): StayingClient[] {
  if (requestsPerSecond === 0) return []
  const weights = Array.from({ length: 40 + random.between(0, 160) }, () => Math.min(50, pareto(random, 1.2)))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => ({
    requestsPerSecond: (requestsPerSecond * weight) / sum,
    errorRate: random.chance(0.1) ? 1 : 0.0005,
    slow: [0.1 + 0.8 * random.next(), 0.3 * random.next() ** 3, 0.1 * random.next() ** 5],
    cpuMicros: 100 + 900 * random.next()
  }))
}
