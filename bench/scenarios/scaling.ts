import { randomFrom } from '../random.ts'
import { fixed, table } from '../report.ts'
import { LOADS } from '../scaling/loads.ts'
import { RULES } from '../scaling/rules.ts'
import { simulateScaling } from '../scaling/simulation.ts'
import type { Sample, Scenario } from '../scenario.ts'

const SEED = 20
const HEAD = ['rule', 'late requests, %', '99th percentile of waiting, ms', 'workers, mean', 'changes']

export const scaling: Scenario = {
  summary: 'simulates rules of autoscaling against loads; always the same figures, in a few seconds',
  defaults: { rounds: 1 },
  run() {
    const samples = scalingSamples()
    return Promise.resolve({ samples, report: scalingReport(samples) })
  }
}

/** Simulates every rule against every load. */
export function scalingSamples(): Sample[] {
  return Object.entries(LOADS).flatMap(([table, load]) =>
    Object.entries(RULES).map(([subject, rule]) => {
      const { late, p99, ...values } = simulateScaling(rule(), load, randomFrom(SEED))
      return { table, subject, values: { ...values, late: late * 100, p99: p99 * 1000 } }
    })
  )
}

/** The tables of docs/explanation/autoscaling.md. */
export const scalingReport = (samples: readonly Sample[]): string =>
  Object.keys(LOADS)
    .map((load) => {
      const lines = samples
        .filter((sample) => sample.table === load)
        .map(({ subject, values: { late = 0, p99 = 0, workers = 0, changes = 0 } }) => {
          return [subject, fixed(late, 2), fixed(p99, 0), fixed(workers, 2), fixed(changes, 0)]
        })
      return `### ${load}\n\n${table(HEAD, lines)}`
    })
    .join('\n\n')
