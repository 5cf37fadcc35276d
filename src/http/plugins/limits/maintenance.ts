import type { FastifyInstance } from 'fastify'
import { HttpError } from '../../../common/errors.ts'
import { resumptionOf } from '../../transferable.ts'

const RETRY_AFTER_SECONDS = 30

/**
 * While the setting `maintenance` is on, every route of this scope answers 503 before any other hook of the scope runs. What began
 * before goes on, in another worker too.
 */
export function refuseInMaintenance(scope: FastifyInstance): void {
  const { settings } = scope.shared
  scope.addHook('onRequest', (request, _reply, done) => {
    if (!settings.get('maintenance') || resumptionOf(request.raw)) return done()
    done(new HttpError(503, 'MAINTENANCE', 'The service is under maintenance', { retryAfter: RETRY_AFTER_SECONDS }))
  })
}
