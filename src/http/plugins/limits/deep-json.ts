import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpError } from '../../../common/errors.ts'
import { isValueTooDeep, MAX_DEPTH } from '../../../common/json-depth.ts'
import { addRouteHook } from '../route-hook.ts'

const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS'])
const JSON_TYPE = /^\s*application\/(?:[\w.-]+\+)?json\b/i

/**
 * Refuses JSON that is nested too deep, before it is validated. It looks at what a parser has made of the body: a parser of
 * its own in its place would keep apps from adding theirs.
 */
export function refuseDeepJson(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().every((method) => WITHOUT_BODY.has(method))) return
    addRouteHook(route, 'preValidation', checkDepth, 'first')
  })
}

function checkDepth({ body, headers }: FastifyRequest, _reply: unknown, done: (error?: Error) => void): void {
  const isRefused =
    typeof body === 'object' && body !== null && JSON_TYPE.test(headers['content-type'] ?? '') && isValueTooDeep(body)
  if (isRefused) done(new HttpError(400, 'TOO_DEEP', `The JSON is nested deeper than ${MAX_DEPTH} levels`))
  else done()
}
