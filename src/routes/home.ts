import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { countVisit } from '../http/session.ts'

const read = (file: string) => readFileSync(new URL(`page/${file}`, import.meta.url), 'utf8')
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'"
].join('; ')

/** `/`: counts one hit and one visit of the session, and shows them: a page for browsers, JSON for everybody else. */
export const home: FastifyPluginAsync = async (app) => {
  const template = read('page.html')
  const assets = { css: serve(app, 'page.css', 'text/css'), js: serve(app, 'page.js', 'text/javascript') }
  const { slot, pid, generation, host } = app.self

  app.get('/', async (request: FastifyRequest, reply: FastifyReply) => {
    const [hits, visits] = await Promise.all([app.shared.hits.increment(), countVisit(request)])
    void reply.header('vary', 'accept').header('cache-control', 'no-store')
    if (request.accepts().type(['application/json', 'text/html']) !== 'text/html') {
      return { hits, visits, worker: { slot, pid, generation }, host }
    }
    const name = request.session.name ?? ''
    const banner = app.shared.settings.get('banner')
    const values = { ...assets, hits, visits, slot, pid, generation, host, name, banner, signedIn: name ? 'yes' : 'no' }
    return reply.type('text/html; charset=utf-8').header('content-security-policy', CSP).send(fill(template, values))
  })
}

/** One file under a name that changes with its content, so that it may be kept for ever. @returns its URL */
function serve(app: FastifyInstance, file: string, type: string): string {
  const content = read(file)
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12)
  const url = `/assets/${file.replace('.', `.${hash}.`)}`
  app.get(url, { config: { session: false, quiet: true } }, (_request, reply) =>
    reply.type(`${type}; charset=utf-8`).header('cache-control', 'public, max-age=31536000, immutable').send(content)
  )
  return url
}

/** `{{name}}` becomes the value of that name, its special characters as HTML entities. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_match, name: string) =>
    String(values[name]).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  )
}
