import type { SessionView } from '../../ipc/messages.ts'
import { mapRedisErrors } from '../redis/redis-errors.ts'
import { handleOf } from './session-merge.ts'
import type { SafeSessionStore } from './session-store.ts'

/** Most sessions of a list, and most sessions that are ended at the same time. */
const MAX_SESSIONS = 1000

/** All sessions of each user, on all hosts. */
export class UserSessions {
  readonly #store: SafeSessionStore

  constructor(store: SafeSessionStore) {
    this.#store = store
  }

  /**
   * Lists the user's sessions, at most 1000; the one that was used last comes first.
   * @throws HttpError 503 without Redis
   */
  async list(user: string): Promise<SessionView[]> {
    const { index } = this.#store
    const ids = (await mapRedisErrors(index.idsOf(user))).slice(0, MAX_SESSIONS)
    const found = await Promise.all(ids.map((id) => this.#store.inspect(id)))
    const ended = ids.filter((_, i) => !found[i])
    await mapRedisErrors(index.remove(user, ended))
    const views = ids.flatMap((id, i) => (found[i] ? { handle: handleOf(id), ...found[i] } : []))
    return views.sort((a, b) => b.idleLeftMs - a.idleLeftMs)
  }

  /**
   * Ends all of a user's sessions, or the one with this handle, also for requests in flight.
   * @param handle as in {@link list}; undefined: all sessions
   * @returns the number of sessions that were ended
   * @throws HttpError 503 without Redis
   */
  async end(user: string, handle?: string): Promise<number> {
    const ids = await mapRedisErrors(this.#store.index.idsOf(user))
    const selected = ids.filter((id) => handle === undefined || handleOf(id) === handle)
    let ended = 0
    for (let i = 0; i < selected.length; i += MAX_SESSIONS) {
      const group = selected.slice(i, i + MAX_SESSIONS)
      const outcomes = await Promise.all(group.map((id) => this.#store.end(id)))
      ended += outcomes.filter((outcome) => outcome.ended).length
      await mapRedisErrors(this.#store.index.remove(user, group))
    }
    return ended
  }
}
