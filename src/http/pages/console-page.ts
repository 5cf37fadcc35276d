import type { FastifyPluginAsync } from 'fastify'
import { onlyAtAdminPort } from '../plugins/admin/admin-port.ts'
import type { AdminOptions } from '../plugins/admin/admin-routes.ts'
import { OWN_PAGE_HEADERS } from '../plugins/security/security-headers.ts'
import { assetFrom, fillTemplate, PAGE_POLICY, readAsset, sendAsset, serveAssets } from './assets.ts'

const FOLDER = new URL('console/', import.meta.url)
/** A file stands after the files that it imports. */
const FILES = [
  'console-icon.svg',
  'style.css',
  'page.js',
  'lingering.js',
  'workers.js',
  'hosts.js',
  'rollout-view.js',
  'settings-view.js',
  'trial-view.js',
  'commands.js',
  'console.js'
]

/**
 * `GET /admin`: the console for operators. The page itself contains nothing about the service: it asks the admin plane, with
 * the operator's token. Without configured tokens the path does not exist.
 */
export const consolePage: FastifyPluginAsync<Pick<AdminOptions, 'config' | 'routes'>> = async (
  app,
  { config, routes }
) => {
  const { controlTokens = [], readTokens = [] } = config.admin
  if (controlTokens.length + readTokens.length === 0) return
  const url = routes.claim('admin')
  if (!url) return
  onlyAtAdminPort(app)
  const template = readAsset(new URL('console.html', FOLDER))
  const { console: js, style: css, 'console-icon': icon } = serveAssets(app, FOLDER, FILES, `${url}/assets/`)
  const page = assetFrom(fillTemplate(template.content, { js: js!, css: css!, icon: icon!, url }), template.type)
  const schema = { summary: 'The console, a page that asks for a token', tags: ['admin'] }
  app.get(url, { config: { session: false, quiet: true }, schema }, (request, reply) =>
    sendAsset(request, reply.headers({ ...OWN_PAGE_HEADERS, 'content-security-policy': PAGE_POLICY }), page, 'no-cache')
  )
}
