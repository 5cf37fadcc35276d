import type { FastifyInstance } from 'fastify'
import { HttpError } from '../common/errors.ts'
import type { Refusal } from '../ipc/messages.ts'
import type { SharedState } from '../state/shared/shared-state.ts'
import type { PrimaryChannel } from './primary-client.ts'

/**
 * Answers the primary's requests about shared state.
 * @param routesLoaded broadcasts are delivered when it resolves: before that, the handlers of the routes are unknown
 */
export function answerStateRequests(
  channel: PrimaryChannel,
  shared: SharedState,
  routesLoaded: Promise<unknown>
): void {
  const viewOf = (key?: string) => ({
    version: shared.settings.version,
    values: key === undefined ? shared.settings.all() : { [key]: shared.settings.get(key) }
  })
  channel.respond('deliver', async (message) => {
    await routesLoaded
    await shared.deliver(message)
    return null
  })
  channel.respond('settings-get', ({ key, schemas }) =>
    resultOrRefusal(() => ({ ...viewOf(key), ...(schemas && { schemas: shared.settings.schemas(key) }) }))
  )
  channel.respond('settings-set', ({ key, ...given }) =>
    resultOrRefusal(async () => {
      const value = 'text' in given ? shared.settings.parse(key, given.text) : given.value
      const { acks, missing } = await shared.setEverywhere(key, value)
      return { ...viewOf(key), acks, missing }
    })
  )
  channel.respond('cache-clear', () => resultOrRefusal(() => shared.clearCaches()))
}

/** Answers the primary's requests about sessions. */
export function answerSessionRequests(channel: PrimaryChannel, sessions: FastifyInstance['sessions']): void {
  channel.respond('sessions-list', ({ user }) => resultOrRefusal(() => sessions.list(user)))
  channel.respond('sessions-end', ({ user, handle }) =>
    resultOrRefusal(async () => ({ ended: await sessions.end(user, handle) }))
  )
}

/** Turns an HttpError into a result: an error crosses the channel as its message only, without the status code. */
async function resultOrRefusal<T>(work: () => T | Promise<T>): Promise<T | Refusal> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof HttpError)) throw error
    return { refused: { statusCode: error.statusCode, message: error.message } }
  }
}
