import type { RouteOptions } from 'fastify'

type HookName = 'onRequest' | 'onSend' | 'onError' | 'onResponse'

/**
 * Gives a route a hook of its own, before or behind those it has. A route that has it keeps it as it is: Fastify makes
 * the HEAD route of a GET from options to which the hook was added already.
 */
export function addRouteHook(
  route: RouteOptions,
  name: HookName,
  hook: unknown,
  place: 'first' | 'last' = 'last'
): void {
  const own: unknown[] = [route[name] ?? []].flat()
  if (own.includes(hook)) return
  route[name] = (place === 'first' ? [hook, ...own] : [...own, hook]) as never
}
