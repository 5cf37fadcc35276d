import type { RouteOptions } from 'fastify'

type HookName = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'onSend' | 'onError' | 'onResponse'

/**
 * Adds a hook to a single route, before or after its other hooks. Adding a hook twice has no effect: Fastify derives the HEAD
 * route of a GET from options that already contain it.
 */
export function addRouteHook(
  route: RouteOptions,
  name: HookName,
  hook: unknown,
  place: 'first' | 'last' = 'last'
): void {
  const hooks: unknown[] = [route[name] ?? []].flat()
  if (hooks.includes(hook)) return
  route[name] = (place === 'first' ? [hook, ...hooks] : [...hooks, hook]) as never
}
