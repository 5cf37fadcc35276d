import type { SessionView } from '../../ipc/messages.ts'
import { handleOf } from './session-merge.ts'
import { mapRedisErrors, type SafeSessionStore } from './session-store.ts'

/** Sessions that a list has at most, and that are ended at once. */
const MANY = 1000

/** All sessions of one user, on whatever hosts they are used. */
export class UserSessions {
  readonly #store: SafeSessionStore

  constructor(store: SafeSessionStore) {
    this.#store = store
  }

  /** Those used last first, a thousand at most. @throws HttpError 503 */
  async list(user: string): Promise<SessionView[]> {
    const { index } = this.#store
    const ids = (await mapRedisErrors(index.idsOf(user))).slice(0, MANY)
    const found = await Promise.all(ids.map((id) => this.#store.look(id)))
    const gone = ids.filter((_, i) => !found[i])
    await mapRedisErrors(index.forget(user, gone))
    const views = ids.flatMap((id, i) => (found[i] ? { handle: handleOf(id), ...found[i] } : []))
    return views.sort((a, b) => b.idleLeftMs - a.idleLeftMs)
  }

  /**
   * Ends them for good, requests in flight included. @param handle of one of them; none: all
   * @returns how many there were @throws HttpError 503
   */
  async end(user: string, handle?: string): Promise<number> {
    const ids = await mapRedisErrors(this.#store.index.idsOf(user))
    const meant = ids.filter((id) => handle === undefined || handleOf(id) === handle)
    let ended = 0
    for (let i = 0; i < meant.length; i += MANY) {
      const some = meant.slice(i, i + MANY)
      const ends = await Promise.all(some.map((id) => this.#store.end(id)))
      ended += ends.filter((end) => end.ended).length
      await mapRedisErrors(this.#store.index.forget(user, some))
    }
    return ended
  }
}
