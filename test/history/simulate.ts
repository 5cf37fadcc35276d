import type { Random } from '../helpers/random.ts'
import type { Interval } from './operations.ts'

/** Moments of a simulated operation, which the simulation chooses. */
export type Moments = Pick<Interval, 'id' | 'process' | 'invokedAt' | 'returnedAt'>

/**
 * Simulates concurrent clients of a correct object: each operation takes effect at one moment between its call and its return. The
 * outcome of one in five is unknown; it takes effect later, or never.
 * @param begin chooses an operation
 * @param apply performs it and stores its result in it. The result of an unknown outcome is thrown away
 */
export function simulate<O extends Interval>(
  random: Random,
  { clients, each }: { clients: number; each: number },
  begin: (moments: Moments) => O,
  apply: (operation: O) => void
): O[] {
  const effects: { at: number; operation: O }[] = []
  const operations: O[] = []
  for (let client = 0; client < clients; client++) {
    let time = random.next() * 10
    for (let i = 0; i < each; i++) {
      const invokedAt = time
      const isUnknown = random.chance(0.2)
      const at = invokedAt + random.next() * 10 * (isUnknown ? 3 : 1)
      const returnedAt = isUnknown ? null : at + random.next() * 10
      const operation = begin({ id: operations.length, process: `client ${client}`, invokedAt, returnedAt })
      operations.push(operation)
      if (!isUnknown) effects.push({ at, operation })
      else if (random.chance(0.6)) effects.push({ at, operation: { ...operation } })
      time = (returnedAt ?? invokedAt) + random.next() * 5
    }
  }
  for (const { operation } of effects.sort((a, b) => a.at - b.at)) apply(operation)
  return operations
}
