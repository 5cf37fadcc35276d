import type { JournalEvent } from '../../admin/journal-file.ts'
import type { Logger } from '../../common/log.ts'
import type { ActionOf, Event, State } from '../policy/types.ts'
import type { Releases } from './release.ts'

/** Code that changed on disk is left alone until it has not changed for this long. */
const SETTLE_MS = 1000

/** Makes sure that all workers of one generation run one release: code that changes on disk is not forked. */
export class ReleaseGuard {
  readonly #releases: Releases
  readonly #journal: (event: JournalEvent) => void
  readonly #log: Logger

  constructor(releases: Releases, journal: (event: JournalEvent) => void, log: Logger) {
    this.#releases = releases
    this.#journal = journal
    this.#log = log
  }

  /** Checks the code on disk before a fork. @returns whether the fork may go on, and events for the policy */
  check({ slot, generation, control }: ActionOf<'fork'>, state: State): { mayFork: boolean; events: Event[] } {
    const releases = this.#releases
    if (releases.isOnDisk(releases.of(generation))) return { mayFork: true, events: [] }
    // A control of other code than the old release would be no control.
    if (control) {
      return { mayFork: false, events: [{ type: 'control-failed', cause: 'the old release is no longer on disk' }] }
    }
    if (generation !== state.generation) {
      const cause = 'the code on disk changed while it was rolled out'
      return { mayFork: false, events: [{ type: 'rollout-failed', cause }] }
    }
    const events = this.#reportMissing(state)
    if (releases.isSettled(SETTLE_MS)) {
      releases.take(generation)
      return { mayFork: true, events }
    }
    return { mayFork: false, events: [...events, { type: 'fork-deferred', slot, ms: SETTLE_MS }] }
  }

  /** Checks whether a rollback is possible: the release that serves must still be on disk. */
  checkRollback(state: State): Event[] {
    const releases = this.#releases
    return releases.isOnDisk(releases.of(state.generation)) ? [] : this.#reportMissing(state)
  }

  /** A rollback is impossible, and the next worker that fails is replaced by one of other code. */
  #reportMissing({ releaseMissing, generation }: State): Event[] {
    if (releaseMissing) return []
    const { id } = this.#releases.of(generation)
    const why = `release ${id} is no longer on disk: workers that fail are replaced by workers of the code that is there`
    this.#log.warn({ generation, release: id, why }, 'release missing')
    this.#journal({ event: 'release missing', generation, why })
    return [{ type: 'release-missing' }]
  }
}
