import type { FastifyPluginAsync, RouteShorthandOptions } from 'fastify'
import { HttpError } from '../../common/errors.ts'
import { object, type Static } from '../../common/json-schema.ts'
import type { ServiceRoutes } from '../routing/service-routes.ts'
import type { PrimaryClient } from './admin/admin-routes.ts'
import { refuseCrossSite } from './security/same-origin.ts'

export const KILL_URL = '/demo/kill'
const RELOAD_URL = '/demo/reload'

/** Actions of one kind per minute, by all visitors together. */
const MAX_PER_MINUTE = 6
const MINUTE_MS = 60_000

const Slot = object({ slot: { type: 'integer', minimum: 0 } })
const integer = { type: 'integer' } as const

interface DemoOptions {
  routes: ServiceRoutes
  primary: PrimaryClient
}

/**
 * With `DEMO=1`, visitors may kill a worker and start a reload, to see that nothing breaks: `POST /demo/kill` and `POST
 * /demo/reload`. Visitors need no token, so the flag is for demonstrations only.
 */
export const demo: FastifyPluginAsync<DemoOptions> = async (app, { routes, primary }) => {
  refuseCrossSite(app)
  if (app.worker.slot === 0) app.log.warn('demo mode: visitors may kill workers and start reloads')
  if (routes.claimUrl(KILL_URL)) {
    const schema = { body: Slot, response: { 200: object({ slot: integer, pid: integer }) } }
    app.post(KILL_URL, { ...limited, schema }, async ({ body, ip }, reply) => {
      const { slot, pid } = victimIn(app.cluster().workers, (body as Static<typeof Slot>).slot)
      app.log.warn({ slot, killed: pid, from: ip }, 'demo: a visitor kills a worker')
      // The answer first: the worker that serves this request may be the one.
      reply.raw.once('finish', () => process.kill(pid, 'SIGKILL'))
      return { slot, pid }
    })
  }
  if (!routes.claimUrl(RELOAD_URL)) return
  app.post(RELOAD_URL, limited, async ({ ip, id, raw }, reply) => {
    const caller = { transport: 'http', who: 'a visitor of the demo', from: ip, requestId: id } as const
    const { statusCode, body } = await primary.command('reload', {}, caller, raw.socket)
    return reply.code(statusCode).send('result' in body ? body.result : body)
  })
}

const limited: RouteShorthandOptions = {
  config: {
    session: false,
    rateLimit: {
      max: MAX_PER_MINUTE,
      timeWindow: MINUTE_MS,
      keyGenerator: () => 'all visitors',
      errorResponseBuilder: (_request, { ttl }) =>
        new HttpError(429, 'RATE_LIMITED', `The demo allows ${MAX_PER_MINUTE} of these a minute: try again soon`, {
          retryAfter: Math.ceil(ttl / 1000)
        })
    }
  }
}

/** @throws HttpError 409 when no other worker serves, or the slot has no worker that serves */
function victimIn(workers: readonly { slot: number; pid: number; status: string }[], slot: number) {
  const ready = workers.filter(({ status }) => status === 'ready')
  const victim = ready.find((worker) => worker.slot === slot)
  if (victim && ready.length > 1) return victim
  const why = victim ? 'It is the only worker that serves' : `No worker serves in slot ${slot}`
  throw new HttpError(409, 'DEMO_NOT_NOW', `${why}: try again soon`, { retryAfter: 1 })
}
