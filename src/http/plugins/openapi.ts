import { createRequire } from 'node:module'
import Fastify, { type FastifyInstance, type FastifyPluginAsync, type RouteOptions } from 'fastify'
import type { ServiceRoutes } from '../routing/service-routes.ts'

/** Returns the OpenAPI document of all routes. */
export type DescribeRoutes = () => Promise<object>

/**
 * Describes every route as an OpenAPI document, from the schemas of the routes. Call it before the routes are added.
 * @returns a function that makes the document at its first call, and keeps it
 */
export function createOpenApi(app: FastifyInstance): DescribeRoutes {
  const routes: RouteOptions[] = []
  const scopes: FastifyInstance[] = [app]
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onRegister', (scope) => void scopes.push(scope))
  let document: Promise<object> | undefined
  return () => {
    document ??= describeRoutes(routes, scopes).catch((error: unknown) => {
      document = undefined
      throw error
    })
    return document
  }
}

/** `GET /docs/json`: the OpenAPI document. */
export const openapi: FastifyPluginAsync<{ describe: DescribeRoutes; routes: ServiceRoutes }> = async (
  app,
  { describe, routes }
) => {
  const url = routes.claim('openapi')
  const schema = { summary: 'The OpenAPI document', tags: ['docs'] }
  if (url) app.get(url, { config: { port: 'admin' }, schema }, describe)
}

/** Makes the document with a second Fastify app and @fastify/swagger. Both are loaded now: most workers never need them. */
async function describeRoutes(routes: readonly RouteOptions[], scopes: readonly FastifyInstance[]): Promise<object> {
  const { version } = createRequire(import.meta.url)('muster/package.json') as { version: string }
  const { default: swagger } = await import('@fastify/swagger')
  const copy = Fastify({ exposeHeadRoutes: false })
  await copy.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'muster', version, description: 'A clustered web service: its routes and its admin plane.' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  copy.setValidatorCompiler(() => () => true)
  copy.setSerializerCompiler(() => JSON.stringify)
  const schemas = Object.assign({}, ...scopes.map((scope) => scope.getSchemas())) as Record<string, unknown>
  for (const schema of Object.values(schemas)) copy.addSchema(schema)
  for (const route of routes) addRoute(copy, route)
  await copy.ready()
  return copy.swagger()
}

/** Of routes that differ only in their constraints, the document contains the first. */
function addRoute(app: FastifyInstance, { url, method, schema = {}, config = {} }: RouteOptions): void {
  const methods = [method].flat().filter((name) => !app.hasRoute({ method: name, url }))
  if (methods.length === 0) return
  for (const name of methods) {
    if (!app.supportedMethods.includes(name)) app.addHttpMethod(name, { hasBody: true })
  }
  app.route({ method: Array.isArray(method) ? methods : method, url, schema, config, handler: () => {} })
}

type Operation = { summary?: string; description?: string; requestBody?: unknown }

/** Renders the document as a page that needs no script. */
export function renderDocsPage({ paths = {} }: { paths?: object }, jsonPath: string | false): string {
  const rows = Object.entries(paths as Record<string, Record<string, Operation>>).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { summary = '', description = '', requestBody }]) => {
      const body = requestBody === undefined ? '' : JSON.stringify(requestBody, null, 1)
      const cells = [
        `<code>${method.toUpperCase()} ${escapeHtml(path)}</code>`,
        escapeHtml(`${summary}. ${description}`)
      ]
      return `<tr><td>${cells.join('<td>')}<td><pre>${escapeHtml(body)}</pre>`
    })
  )
  const link = jsonPath ? `<p>As OpenAPI: <a href="${jsonPath}">${jsonPath}</a>` : ''
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>muster: routes</title><h1>Routes</h1>
${link}<table><tr><th>Route<th>Description<th>Body${rows.join('\n')}</table></html>`
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES[character] as string)
