import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
}
/** The policy of every page: nothing but its own files, and no inline code. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'"
].join('; ')
const FOREVER = 'public, max-age=31536000, immutable'

/** A file of the project, read once. */
export interface Asset {
  content: string
  type: string
  /** Of its content: another one is another file. */
  hash: string
}

/** @throws Error when it is not there, or of a type that no page needs */
export function readAsset(url: URL): Asset {
  const content = readFileSync(url, 'utf8')
  const type = TYPES[extname(url.pathname)]
  if (!type) throw new Error(`${url}: no type is known for it`)
  return assetOf(content, type)
}

export const assetOf = (content: string, type: string): Asset => ({
  content,
  type,
  hash: createHash('sha256').update(content).digest('hex').slice(0, 12)
})

/**
 * Serves files beside a page, each under a name that changes with its content, so that it may be kept for ever.
 * @param folder ends with a slash
 * @param files a script may import those in front of it
 * @param base where they are, in front of their names
 * @returns the path of each file, by its name without the extension
 */
export function serveAssets(
  app: FastifyInstance,
  folder: URL,
  files: string[],
  base = '/assets/'
): Record<string, string> {
  const paths = new Map<string, string>()
  const named = files.map((file) => {
    const { content, type } = readAsset(new URL(file, folder))
    const asset = assetOf(importByPath(content, paths), type)
    const extension = extname(file)
    const name = file.slice(0, -extension.length)
    const path = `${base}${name}.${asset.hash}${extension}`
    paths.set(file, path)
    app.get(path, { config: { session: false, quiet: true }, schema: { hide: true } }, (request, reply) =>
      sendAsset(request, reply, asset, FOREVER)
    )
    return [name, path]
  })
  return Object.fromEntries(named)
}

/** `from '../other.js'` as the path under which that file is. */
const importByPath = (content: string, paths: Map<string, string>) =>
  content.replace(/ from '\.\/([\w.-]+)'/g, (all, file: string) =>
    paths.has(file) ? ` from '${paths.get(file)}'` : all
  )

/** Sends it, or 304 to who has it. */
export function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset, cacheControl: string) {
  const tag = `"${asset.hash}"`
  void reply.header('etag', tag).header('cache-control', cacheControl)
  if (has(request.headers['if-none-match'], tag)) return reply.code(304).send()
  return reply.type(asset.type).send(asset.content)
}

/** A proxy that compresses makes a tag weak; it names the same file. */
const has = (known: string | undefined, tag: string): boolean =>
  known?.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === tag) === true

/** `{{name}}` becomes the value of that name, its special characters as HTML entities. */
export function fill(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_match, name: string) =>
    String(values[name]).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  )
}
