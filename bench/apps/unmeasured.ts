import { register } from 'node:module'

/**
 * Preloaded into every process of the service (`--import`), it takes the measuring of requests and of Redis out of it:
 * those modules are replaced by ones that do nothing. Everything else is as it is.
 */
const hook = `
  export async function load(url, context, next) {
    const [, name] = /\\/plugins\\/(?:log|metrics)\\/(completion|request-metrics|state-metrics)\\.js$/.exec(url) ?? []
    const loaded = await next(url, context)
    if (!name) return loaded
    const source = String(loaded.source)
    const nothing = name === 'completion'
      ? source.replace('export const completion =',
          "export const completion = fp(async (app) => app.decorate('completion', { inFlight: () => 0, observe: () => {} }));const unused =")
      : [...source.matchAll(/^export function (\\w+)/gm)]
          .map(([, name]) => 'export const ' + name + ' = () => () => {}').join('\\n')
    return { format: 'module', source: nothing, shortCircuit: true }
  }`

register(`data:text/javascript,${encodeURIComponent(hook)}`)
