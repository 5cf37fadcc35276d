import { describeOperations, describeViolation } from '../history/describe.ts'
import { checkRounds, type Round } from '../history/history-file.ts'
import { hasReturned, type Violation } from '../history/operations.ts'
import { runRound } from './round.ts'
import type { SetupName } from './setups.ts'

/** The kinds of Redis that rounds use in turn. A single one has the most kinds of faults. */
const TURNS: SetupName[] = ['single', 'replicas', 'cluster', 'sentinel']
const ROUND_SECONDS = 30
/** What a history must contain for its check to mean something. */
const KINDS = [
  ...['counter increment', 'counter read', 'settings set', 'settings read', 'settings copy'],
  ...['session put', 'session get', 'session sign-out', 'lock hold', 'every hold', 'once call']
]

export interface ChaosOptions {
  /** Time under load and faults, without starts and checks. */
  seconds: number
  seed: number
  /** Default: in turn. */
  setups?: SetupName[]
  /** Takes what happens, line by line. */
  log: (line: string) => void
  /** Takes each round when it has ended, before its check. */
  record?: (round: Round) => Promise<void>
}

export interface ChaosResult {
  rounds: Round[]
  faults: Map<string, number>
  /** Rounds that did not come to their end, each with the error: nothing was checked. */
  failures: string[]
  violations: Violation[]
}

/** Runs rounds of about 30 s, each with a Redis and two services of its own, and checks each history when its round ends. */
export async function runChaos({ seconds, seed, setups = TURNS, log, record }: ChaosOptions): Promise<ChaosResult> {
  const count = Math.max(1, Math.round(seconds / ROUND_SECONDS))
  const rounds: Round[] = []
  const failures: string[] = []
  const violations: Violation[] = []
  const faults = new Map<string, number>()
  for (let i = 0; i < count; i++) {
    const setup = setups[i % setups.length]!
    const name = `round ${i + 1} (${setup})`
    try {
      const ended = await runRound({ name, setup, seconds: seconds / count, seed: seed * 1000 + i * 100 })
      const round = { name, operations: ended.operations }
      rounds.push(round)
      for (const [fault, times] of ended.faults) faults.set(fault, (faults.get(fault) ?? 0) + times)
      await record?.(round)
      const found = checkRounds([round])
      violations.push(...found)
      log(`${name}: ${round.operations.length} operations, ${found.length} violations`)
    } catch (error) {
      failures.push(`${name} failed: ${(error as Error).stack}`)
      log(failures.at(-1)!)
    }
  }
  return { rounds, faults, failures, violations }
}

/** @returns kinds of operations of which none returned, although the rounds have clients for them */
export function missingKinds(rounds: readonly Round[]): string[] {
  const isWithoutJobs = rounds.every(({ name }) => name.includes('(sentinel)'))
  const found = new Set(
    rounds.flatMap(({ operations }) => operations.filter(hasReturned).map(({ model, kind }) => `${model} ${kind}`))
  )
  return KINDS.filter((kind) => !found.has(kind) && !(isWithoutJobs && kind === 'every hold'))
}

/** Returns the lines that a run or a check prints at the end. */
export function describeChaos({ rounds, faults, failures, violations }: ChaosResult): string[] {
  const missing = missingKinds(rounds)
  return [
    'operations',
    ...describeOperations(rounds.flatMap(({ operations }) => operations)),
    ...(faults.size > 0 ? ['faults'] : []),
    ...[...faults].sort(([a], [b]) => a.localeCompare(b)).map(([name, times]) => `  ${name.padEnd(32)} ${times}`),
    ...(missing.length > 0 ? [`nothing was recorded of: ${missing.join(', ')}`] : []),
    ...failures,
    `violations: ${violations.length}`,
    ...violations.flatMap(describeViolation)
  ]
}
