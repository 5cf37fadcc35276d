import type { FastifyInstance } from 'fastify'
import { HttpError } from '../common/errors.ts'
import type { Channel } from '../ipc/channel.ts'
import type { PrimaryRequests, Refusal, ToPrimary, ToWorker, WorkerRequests } from '../ipc/messages.ts'
import type { SharedState } from '../state/shared/shared-state.ts'

/**
 * Answers what the primary asks about shared state.
 * @param booted resolves when the routes are loaded: handlers and settings of theirs are not known before
 */
export function answerForShared(
  channel: Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>,
  shared: SharedState,
  booted: Promise<unknown>
): void {
  const viewOf = (key?: string) => ({
    version: shared.settings.version,
    values: key === undefined ? shared.settings.all() : { [key]: shared.settings.get(key) }
  })
  channel.respond('deliver', async (message) => {
    await booted
    await shared.deliver(message)
    return null
  })
  channel.respond('settings-get', ({ key }) => orRefusal(() => viewOf(key)))
  channel.respond('settings-set', ({ key, ...given }) =>
    orRefusal(async () => {
      const value = 'text' in given ? shared.settings.parse(key, given.text) : given.value
      const { acks, missing } = await shared.setEverywhere(key, value)
      return { ...viewOf(key), acks, missing }
    })
  )
  channel.respond('cache-clear', () => orRefusal(() => shared.clearCaches()))
}

/** Answers what the primary asks about sessions. */
export function answerForSessions(
  channel: Channel<ToPrimary, ToWorker, PrimaryRequests, WorkerRequests>,
  sessions: FastifyInstance['sessions']
): void {
  channel.respond('sessions-list', ({ user }) => orRefusal(() => sessions.list(user)))
  channel.respond('sessions-end', ({ user, handle }) =>
    orRefusal(async () => ({ ended: await sessions.end(user, handle) }))
  )
}

/** Between processes an error is only its message: what a client may know of it travels as a result. */
async function orRefusal<T>(work: () => T | Promise<T>): Promise<T | Refusal> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    return { refused: { statusCode: error.statusCode, message: error.message } }
  }
}
