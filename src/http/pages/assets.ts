import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, extname, posix } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

const MEDIA_TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
}
/** The Content-Security-Policy of every page: only files of this service, no inline code, no frames. */
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
/** The comment of the compiler about a file that is not served. */
const SOURCE_MAP = /\n\/\/# sourceMappingURL=\S+\s*$/
const IMMUTABLE = 'public, max-age=31536000, immutable'

/** A file that is served from memory. */
export interface Asset {
  content: string
  /** The value of its `Content-Type`. */
  type: string
  /** The first 12 hex digits of the content's SHA-256. */
  hash: string
}

/**
 * Reads a file of a page.
 * @throws Error when the file does not exist, or when its extension is not .css, .html, .js or .svg
 */
export function readAsset(url: URL): Asset {
  const content = readFileSync(url, 'utf8')
  const type = MEDIA_TYPES[extname(url.pathname)]
  if (!type) throw new Error(`${url}: unknown media type; use one of ${Object.keys(MEDIA_TYPES).join(' ')}`)
  return assetFrom(content, type)
}

/** Makes an asset from text. */
export const assetFrom = (content: string, type: string): Asset => ({
  content,
  type,
  hash: createHash('sha256').update(content).digest('hex').slice(0, 12)
})

/**
 * Serves the files of a page. Each path contains the hash of the content, so browsers may cache the file forever.
 * @param folder ends with a slash
 * @param files their paths below the folder; a script may import the files that stand before it in this list
 * @param base the path that all of them start with
 * @param paths of files that scripts may import too, by path; the files of this call are added
 * @returns the path of each file by its name without folder and extension
 */
export function serveAssets(
  app: FastifyInstance,
  folder: URL,
  files: string[],
  base = '/assets/',
  paths = new Map<string, string>()
): Record<string, string> {
  const pathsByName: Record<string, string> = {}
  for (const file of files) {
    const { content, type } = readAsset(new URL(file, folder))
    const asset = assetFrom(resolveImports(content, posix.dirname(file), paths), type)
    const extension = extname(file)
    const path = `${base}${file.slice(0, -extension.length)}.${asset.hash}${extension}`
    paths.set(file, path)
    pathsByName[basename(file, extension)] = path
    app.get(path, { config: { session: false, quiet: true }, schema: { hide: true } }, (request, reply) =>
      sendAsset(request, reply, asset, IMMUTABLE)
    )
  }
  return pathsByName
}

/** Replaces `from './other.js'` by the path at which that file is served. @param folder of the importing file */
const resolveImports = (content: string, folder: string, paths: ReadonlyMap<string, string>) =>
  content.replace(SOURCE_MAP, '').replace(/ from '(\.{1,2}\/[\w./-]+)'/g, (all, specifier: string) => {
    const path = paths.get(posix.join(folder, specifier))
    return path ? ` from '${path}'` : all
  })

/** Sends an asset, or 304 when the client has the current version. */
export function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset, cacheControl: string) {
  const etag = `"${asset.hash}"`
  void reply.header('etag', etag).header('cache-control', cacheControl)
  if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.type(asset.type).send(asset.content)
}

/** Compares weakly: a proxy that compresses makes the tag weak, but the content is the same. */
const matchesEtag = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch?.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag) === true

/** Replaces each `{{name}}` by the value of that name. Characters that HTML gives a meaning become entities. */
export function fillTemplate(template: string, values: Record<string, string | number>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_match, name: string) =>
    String(values[name]).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  )
}
