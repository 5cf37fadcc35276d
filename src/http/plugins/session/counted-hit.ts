import type { FastifyRequest } from 'fastify'
import { findSession } from './request-session.ts'

/**
 * Counts a hit. A route with `config: { countsHit: true }` has counted it when the session was read, and the first call returns
 * that.
 * @returns the number of this hit: no two requests of any process get the same
 * @throws HttpError as `app.shared.hits.increment()` does, and when the command failed that was to read the session
 */
export async function countHit(request: FastifyRequest): Promise<number> {
  const state = findSession(request)
  const hit = state?.hit
  if (hit === undefined) {
    // It may have been counted. Counting it again would count one request twice.
    if (state?.failure && state.counts !== undefined && state.counts !== 'visit') throw state.failure
    return request.server.shared.hits.increment()
  }
  state!.hit = undefined
  return hit
}
