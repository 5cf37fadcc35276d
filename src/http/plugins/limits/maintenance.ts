import type { FastifyInstance } from 'fastify'
import { HttpError } from '../../../common/errors.ts'

const RETRY_AFTER_SECONDS = 30

/** While the setting `maintenance` is on, every route of this scope answers 503 before any other hook of the scope runs. */
export function refuseInMaintenance(scope: FastifyInstance): void {
  const { settings } = scope.shared
  scope.addHook('onRequest', (_request, _reply, done) => {
    if (!settings.get('maintenance')) return done()
    done(new HttpError(503, 'MAINTENANCE', 'The service is under maintenance', { retryAfter: RETRY_AFTER_SECONDS }))
  })
}
