import { register } from 'node:module'

/**
 * Preloaded into every process of the service (`--import`), it takes the measuring of requests and of Redis out of it:
 * those modules are replaced by ones that do nothing. Everything else is as it is.
 */
const stubs: Record<string, string> = {
  'http/completion.js': `import fp from 'fastify-plugin'
    export const completion = fp(async (app) => app.decorate('completion', { inFlight: () => 0, observe: () => {} }))`,
  'http/measure.js': 'export const measure = () => () => {}',
  'http/measure-state.js': 'export const measureState = () => {}'
}

const hook = `const stubs = ${JSON.stringify(stubs)}
  export async function load(url, context, next) {
    const name = Object.keys(stubs).find((name) => url.endsWith('/dist/src/' + name))
    return name ? { format: 'module', source: stubs[name], shortCircuit: true } : next(url, context)
  }`

register(`data:text/javascript,${encodeURIComponent(hook)}`)
