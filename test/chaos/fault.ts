import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../helpers/random.ts'

/** Something that goes wrong. It is over when the promise resolves. */
export interface Fault {
  name: string
  run(random: Random): Promise<unknown>
}

/** Faults of which one at a time happens. */
export interface Lane {
  faults: Fault[]
  /** Longest pause between two of them, in ms. */
  maxPauseMs: number
}

/** Causes faults in lanes that overlap, in an order that the seed decides. Every fault comes at least once in each lane, if time allows. */
export class Nemesis {
  /** Number of faults by their names. */
  readonly counts = new Map<string, number>()
  readonly #lanes: Promise<unknown>
  #isOver = false

  constructor(lanes: readonly Lane[], randoms: readonly Random[]) {
    this.#lanes = Promise.all(lanes.map((lane, i) => this.#disturb(lane, randoms[i]!)))
    // The error is thrown by `stop`.
    this.#lanes.catch(() => {})
  }

  /** Resolves when the faults in progress are over. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#lanes
  }

  async #disturb({ faults, maxPauseMs }: Lane, random: Random): Promise<void> {
    let queue: Fault[] = []
    while (!this.#isOver) {
      await sleep(random.between(50, maxPauseMs))
      if (this.#isOver) return
      if (queue.length === 0) queue = shuffled(faults, random)
      const { name, run } = queue.pop()!
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
      await run(random)
    }
  }
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const mixed = [...values]
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = random.between(0, i)
    ;[mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!]
  }
  return mixed
}
