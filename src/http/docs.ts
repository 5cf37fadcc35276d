import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'

/** `/docs/json`: every route of the service as OpenAPI, made of the schemas that the routes have anyway. */
export const docs = fp(async (app) => {
  const { version } = createRequire(import.meta.url)('muster/package.json') as { version: string }
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'muster', version, description: 'A clustered web service: its routes, and its admin plane.' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  app.get('/docs/json', { schema: { summary: 'this document', tags: ['docs'] } }, async () => app.swagger())
})

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
