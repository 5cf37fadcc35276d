import Fastify, { type FastifyInstance, type FastifyPluginAsync, type FastifySchema, type RouteOptions } from 'fastify'
import { nearestPackage } from '../../config/nearest-package.ts'
import type { OpenApiInfo } from '../app-options.ts'
import type { ServiceRoutes } from '../routing/service-routes.ts'

/** Returns the OpenAPI document of all routes. */
export type DescribeRoutes = () => Promise<object>

/**
 * Describes every route as an OpenAPI document, from the schemas of the routes. Call it before the routes are added.
 * @param appPath of the app's module, whose package.json gives the title and the version that `info` does not
 * @returns a function that makes the document at its first call, and keeps it
 */
export function createOpenApi(app: FastifyInstance, appPath: string | undefined, info: OpenApiInfo): DescribeRoutes {
  const routes: RouteOptions[] = []
  const scopes: FastifyInstance[] = [app]
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onRegister', (scope) => void scopes.push(scope))
  let document: Promise<object> | undefined
  return () => {
    document ??= describeRoutes(routes, scopes, completeInfo(info, appPath)).catch((error: unknown) => {
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
async function describeRoutes(
  routes: readonly RouteOptions[],
  scopes: readonly FastifyInstance[],
  info: OpenApiInfo
): Promise<object> {
  const { default: swagger } = await import('@fastify/swagger')
  const copy = Fastify({ exposeHeadRoutes: false })
  await copy.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: info as Required<OpenApiInfo>,
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

/** Completes what the app says about itself by its package.json; without one, by that of the service. */
function completeInfo({ title, version, description }: OpenApiInfo, appPath: string | undefined): OpenApiInfo {
  const app = (appPath && nearestPackage(appPath)) || nearestPackage(import.meta.filename) || {}
  return {
    title: title ?? app.name ?? 'muster',
    version: version ?? app.version ?? '0.0.0',
    description: description ?? app.description ?? ''
  }
}

/** Of routes that differ only in their constraints, the document contains the first. */
function addRoute(app: FastifyInstance, { url, method, schema = {}, config = {} }: RouteOptions): void {
  const methods = [method].flat().filter((name) => !app.hasRoute({ method: name, url }))
  if (methods.length === 0) return
  for (const name of methods) {
    if (!app.supportedMethods.includes(name)) app.addHttpMethod(name, { hasBody: true })
  }
  app.route({
    method: Array.isArray(method) ? methods : method,
    url,
    schema: plainSchema(schema),
    config,
    handler: () => {}
  })
}

/**
 * Leaves out what is no JSON schema, such as schemas of Zod, which the app compiles itself.
 * @param schema of a route
 */
function plainSchema({ response, ...parts }: FastifySchema): FastifySchema {
  const isPlain = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return true
    const prototype = Object.getPrototypeOf(value)
    return prototype === Object.prototype || prototype === null || Array.isArray(value) || FLUENT in value
  }
  const plain = (object: object) => Object.fromEntries(Object.entries(object).filter(([, value]) => isPlain(value)))
  return { ...plain(parts), ...(response ? { response: plain(response) } : {}) }
}
/** How Fastify recognizes schemas of fluent-json-schema. */
const FLUENT = Symbol.for('fluent-schema-object')

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
