import { createRequire } from 'node:module'
import Fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route of the service as OpenAPI, made of the schemas that the routes have anyway. */
    openapi: () => Promise<object>
  }
}

/** `/docs/json`: the service as OpenAPI. */
export const docs = fp(async (app) => {
  const routes: RouteOptions[] = []
  const scopes: FastifyInstance[] = [app]
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onRegister', (scope) => void scopes.push(scope))
  let made: Promise<object> | undefined
  app.decorate('openapi', () => {
    made ??= describe(routes, scopes).catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  })
  app.get('/docs/json', { config: { port: 'admin' }, schema: { summary: 'this document', tags: ['docs'] } }, () =>
    app.openapi()
  )
})

/** What makes the document is loaded for who asks for it: hardly any worker ever needs it. */
async function describe(routes: readonly RouteOptions[], scopes: readonly FastifyInstance[]): Promise<object> {
  const { version } = createRequire(import.meta.url)('muster/package.json') as { version: string }
  const { default: swagger } = await import('@fastify/swagger')
  const twin = Fastify({ exposeHeadRoutes: false })
  await twin.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'muster', version, description: 'A clustered web service: its routes, and its admin plane.' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  twin.setValidatorCompiler(() => () => true)
  twin.setSerializerCompiler(() => JSON.stringify)
  const shared = Object.assign({}, ...scopes.map((scope) => scope.getSchemas())) as Record<string, unknown>
  for (const schema of Object.values(shared)) twin.addSchema(schema)
  for (const { url, method: given, schema = {}, config = {} } of routes) {
    // Of routes that differ in their constraints only, the first one tells of all.
    const methods = [given].flat().filter((method) => !twin.hasRoute({ method, url }))
    for (const method of methods)
      if (!twin.supportedMethods.includes(method)) twin.addHttpMethod(method, { hasBody: true })
    const method = Array.isArray(given) ? methods : given
    if (methods.length > 0) twin.route({ method, url, schema, config, handler: () => {} })
  }
  await twin.ready()
  return twin.swagger()
}

type Operation = { summary?: string; description?: string; requestBody?: unknown }

/** The document as a page without a script: what there is, what it takes, what it needs. */
export function docsPage({ paths = {} }: { paths?: object }): string {
  const rows = Object.entries(paths as Record<string, Record<string, Operation>>).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary = '', description = '', requestBody }]) => {
      const body = requestBody === undefined ? '' : JSON.stringify(requestBody, null, 1)
      const cells = [
        `<code>${method.toUpperCase()} ${escapeHtml(path)}</code>`,
        escapeHtml(`${summary}. ${description}`)
      ]
      return `<tr><td>${cells.join('<td>')}<td><pre>${escapeHtml(body)}</pre>`
    })
  )
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>muster: routes</title><h1>Routes</h1>
<p>As OpenAPI: <a href="/docs/json">/docs/json</a><table><tr><th>Route<th>What it is<th>Body${rows.join('\n')}</table></html>`
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES[character] as string)
