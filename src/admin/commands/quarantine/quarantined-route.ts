import { parseRoute, type RoutePattern, routeText } from '../../../ipc/route-pattern.ts'
import { CommandError } from '../../command-error.ts'

export const quarantined = {
  type: 'string',
  minLength: 3,
  maxLength: 300,
  description: 'a method, a space, and a route template or a path, in which * is any segment, such as "POST /todos/:id"'
} as const

/** Workers never refuse these, so that operators and load balancers reach the service. */
const EXEMPT = /^\/(livez|readyz|healthz|metrics|docs|admin)(\/|$)/

/** @throws CommandError 400 */
export function parseQuarantined(text: string): { text: string; pattern: RoutePattern } {
  const pattern = parseRoute(text)
  if (!pattern) {
    throw new CommandError(`route: must be a method, a space and a path, such as "POST /todos", not "${text}"`)
  }
  if (EXEMPT.test(pattern.path))
    throw new CommandError(`route: ${pattern.path} is never quarantined: probes and /admin stay`)
  return { text: routeText(pattern), pattern }
}
