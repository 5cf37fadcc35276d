import type { Cleans } from '../helpers/cleanup.ts'

/** What helpers of tests need to undo what they began, for a run outside a test. */
export class Scope implements Cleans {
  readonly #undo: (() => unknown)[] = []

  readonly after: Cleans['after'] = (fn) => void this.#undo.push(fn as () => unknown)

  /** Undoes everything. */
  async end(): Promise<void> {
    for (const undo of this.#undo.splice(0)) await undo()
  }
}
