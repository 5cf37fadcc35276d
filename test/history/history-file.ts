import { createWriteStream, readFileSync } from 'node:fs'
import { finished } from 'node:stream/promises'
import { checkHistory } from './check-history.ts'
import { groupBy, type Operation, type Violation } from './operations.ts'

/** Operations on one Redis, from its start to its end. */
export interface Round {
  name: string
  operations: Operation[]
}

/** Writes histories, one operation on a line, each with the name of its round: into a new file, or to the end of one. */
export async function writeHistory(file: string, rounds: readonly Round[], flags: 'w' | 'a' = 'w'): Promise<void> {
  const stream = createWriteStream(file, { flags })
  for (const { name, operations } of rounds) {
    for (const operation of operations) stream.write(`${JSON.stringify({ round: name, ...operation })}\n`)
  }
  stream.end()
  await finished(stream)
}

/** @throws Error for a line that is no operation */
export function readHistory(file: string): Round[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const operations = lines.map((line, i) => {
    try {
      const { round, ...operation } = JSON.parse(line)
      if (typeof round !== 'string' || typeof operation.invokedAt !== 'number') throw new Error('no operation')
      return { round, operation: operation as Operation }
    } catch {
      throw new Error(`${file}, line ${i + 1}: not an operation; expected a file that --out has written`)
    }
  })
  return [...groupBy(operations, ({ round }) => round)].map(([name, ofRound]) => ({
    name,
    operations: ofRound.map(({ operation }) => operation)
  }))
}

/** Checks every round by itself. The violations name their round. */
export const checkRounds = (rounds: readonly Round[]): Violation[] =>
  rounds.flatMap(({ name, operations }) =>
    checkHistory(operations).map((violation) => ({ ...violation, object: `${name}: ${violation.object}` }))
  )
