import { ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { counted } from '../helpers/counted.ts'
import { Random } from '../helpers/random.ts'
import { runTrial } from '../helpers/run-trial.ts'
import { heavyTailedTraffic } from '../helpers/simulated-traffic.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { RELEASES, trialsOf } from '../helpers/worse-releases.ts'

const trials = sizeOf('TRIALS', 10_000)
const repeats = sizeOf('TRIALS_PER_RELEASE', 300)

test(`${trials} identical releases, 1 to 10,000 requests per second: 1 in 1,000 is a false alarm at most`, (t) => {
  counted(t, { 'simulated releases judged': trials })
  atMost(falseAlarms(trials, 0.001, 300), trials * 0.001)
})

test('a tenth of them with alpha 0.05, which shows more: 5 in 100 are false alarms at most', () => {
  atMost(falseAlarms(Math.ceil(trials / 10), 0.05, 300), trials * 0.005)
})

for (const row of documentedRows()) {
  test(`in 95 % of all trials, "${row.release}" is decided within the requests that the docs state: ${row.requests}`, (t) => {
    const { traffic, outcome } = RELEASES[row.release]!
    const results = trialsOf(row.release, repeats)
    const decided = results.filter((result) => result.outcome === outcome)
    // The judge looks once a second.
    const within = (requests: number) =>
      decided.filter(({ canaryRequests }) => canaryRequests <= requests + traffic * 0.05).length / repeats
    const slack = 3 * Math.sqrt((0.95 * 0.05) / repeats)
    counted(t, { 'simulated releases judged': repeats })
    t.diagnostic(`${within(row.requests)} within ${row.requests}, ${decided.length} of ${repeats} decided`)
    ok(within(row.requests) >= 0.95 - slack, `${within(row.requests)} are decided within ${row.requests}`)
    ok(within(row.requests / 3) < 0.95, `the docs exaggerate: ${within(row.requests / 3)} need a third of it`)
  })
}

/** @returns how many of identical releases were found worse */
function falseAlarms(count: number, alpha: number, seconds: number): number {
  let alarms = 0
  for (let i = 1; i <= count; i++) {
    const random = new Random(Math.imul(i, 0x9e3779b1))
    const traffic = heavyTailedTraffic(random, 10 ** (4 * random.next()), 0.05)
    if (runTrial(random, traffic, seconds, { alpha, tolerance: 0.1 }).outcome === 'worse') alarms++
  }
  return alarms
}

/** Allows for three standard deviations of the binomial distribution. */
function atMost(alarms: number, expected: number): void {
  ok(alarms <= expected + 3 * Math.sqrt(expected), `${alarms} false alarms, ${expected} at most were expected`)
}

/** @returns the rows of the table of docs/explanation/verdict.md that names all simulated releases */
function documentedRows(): { release: string; requests: number }[] {
  const lines = readFileSync('docs/explanation/verdict.md', 'utf8').split('\n')
  const cells = lines.map((line) => line.split('|').map((cell) => cell.trim()))
  return Object.keys(RELEASES).map((release) => {
    const row = cells.find((candidate) => candidate[1] === release)
    ok(row, `docs/explanation/verdict.md has no row "${release}"`)
    return { release, requests: Number(row[4]!.replaceAll(',', '')) }
  })
}
