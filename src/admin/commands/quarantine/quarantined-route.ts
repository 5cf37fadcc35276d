import { object } from '../../../common/json-schema.ts'
import { parseRoute, type RoutePattern, routeText } from '../../../ipc/route-pattern.ts'
import { CommandError } from '../../command-error.ts'
import { argumentsOf, text } from '../../command-schemas.ts'

const route = {
  type: 'string',
  minLength: 3,
  maxLength: 300,
  description: 'a method, a space, and a route template or a path, in which * is any segment, such as "POST /todos/:id"'
} as const

/** What the definitions of commands about one route have in common. */
export const aboutRoute = {
  level: 'control',
  positional: ['route'],
  args: argumentsOf({ route }),
  result: object({ route: text }),
  example: { args: { route: 'POST /todos' }, result: { route: 'POST /todos' } }
} as const

/** Workers never refuse these, so that operators and load balancers reach the service. */
const EXEMPT = /^\/(livez|readyz|healthz|metrics|docs|admin)(\/|$)/

/** @throws CommandError 400 */
export function parseQuarantined(name: string): { name: string; pattern: RoutePattern } {
  const pattern = parseRoute(name)
  if (!pattern) {
    throw new CommandError(`route: must be a method, a space and a path, such as "POST /todos", not "${name}"`)
  }
  if (EXEMPT.test(pattern.path))
    throw new CommandError(`route: ${pattern.path} is never quarantined: probes and /admin stay`)
  return { name: routeText(pattern), pattern }
}
