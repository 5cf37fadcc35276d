import type { FastifyPluginAsync } from 'fastify'
import { onlyAtAdminPort } from '../plugins/admin-port.ts'
import type { AdminOptions } from '../plugins/admin-routes.ts'
import { assetOf, fill, PAGE_POLICY, readAsset, sendAsset, serveAssets } from './assets.ts'

const FOLDER = new URL('console/', import.meta.url)
/** Those that others import come first. */
const FILES = ['icon.svg', 'style.css', 'page.js', 'workers.js', 'roll.js', 'commands.js', 'console.js']

/**
 * `GET /admin`: the page of those who run the service. Nothing of the service is in it: what it shows and does, a token
 * opens. Where no token is set there is no such path.
 */
export const consolePage: FastifyPluginAsync<Pick<AdminOptions, 'config'>> = async (app, { config }) => {
  const { controlTokens = [], readTokens = [] } = config.admin
  if (controlTokens.length + readTokens.length === 0) return
  onlyAtAdminPort(app)
  const page = readAsset(new URL('console.html', FOLDER))
  const { console: js, style: css, icon } = serveAssets(app, FOLDER, FILES, '/admin/assets/')
  const filled = assetOf(fill(page.content, { js: js!, css: css!, icon: icon! }), page.type)
  const schema = { summary: 'the console, a page; it asks for a token', tags: ['admin'] }
  app.get('/admin', { config: { session: false, quiet: true }, schema }, (request, reply) =>
    sendAsset(request, reply.header('content-security-policy', PAGE_POLICY), filled, 'no-cache')
  )
}
