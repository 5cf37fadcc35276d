import { register } from 'node:module'

/**
 * Preloaded into every process of the service (`--import`), it takes the measuring of requests and of Redis out of it:
 * those modules are replaced by ones that do nothing. Everything else is as it is.
 */
const hook = `
  const completion = \`import fp from 'fastify-plugin'
    export const completion = fp(async (app) => app.decorate('completion', { inFlight: () => 0, observe: () => {} }))\`
  export async function load(url, context, next) {
    const [, name] = /\\/plugins\\/(?:log|metrics)\\/(completion|request-metrics|state-metrics)\\.js$/.exec(url) ?? []
    if (!name) return next(url, context)
    const { source } = await next(url, context)
    const exported = [...String(source).matchAll(/^export function (\\w+)/gm)]
    const nothing = exported.map(([, name]) => 'export const ' + name + ' = () => () => {}').join('\\n')
    return { format: 'module', source: name === 'completion' ? completion : nothing, shortCircuit: true }
  }`

register(`data:text/javascript,${encodeURIComponent(hook)}`)
