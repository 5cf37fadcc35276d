import type { FastifyPluginAsync } from 'fastify'
import { onlyAtAdminPort } from '../plugins/admin/admin-port.ts'
import type { AdminOptions } from '../plugins/admin/admin-routes.ts'
import { OWN_PAGE_HEADERS } from '../plugins/security/security-headers.ts'
import { assetFrom, fillTemplate, PAGE_POLICY, readAsset, sendAsset, serveAssets } from './assets.ts'

const FOLDER = new URL('console/', import.meta.url)
/** A file stands after the files that it imports. */
const FILES = [
  'console-icon.svg',
  'theme.css',
  'style.css',
  'page.js',
  'stream.js',
  'confirm.js',
  'model/units.js',
  'model/lingering.js',
  'model/health.js',
  'model/journal-entries.js',
  'model/rollouts.js',
  'model/setting-fields.js',
  'model/upgrades.js',
  'model/worker-samples.js',
  'plots.js',
  'views/workers-view.js',
  'views/figures.js',
  'views/hosts.js',
  'views/journal-view.js',
  'views/quarantine-view.js',
  'views/rollout-view.js',
  'views/settings-view.js',
  'views/trial-view.js',
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
  const { console: js, style: css, theme, 'console-icon': icon } = serveAssets(app, FOLDER, FILES, `${url}/assets/`)
  const values = { js: js!, css: css!, theme: theme!, icon: icon!, url }
  const page = assetFrom(fillTemplate(template.content, values), template.type)
  const schema = { summary: 'The console, a page that asks for a token', tags: ['admin'] }
  app.get(url, { config: { session: false, quiet: true }, schema }, (request, reply) =>
    sendAsset(request, reply.headers({ ...OWN_PAGE_HEADERS, 'content-security-policy': PAGE_POLICY }), page, 'no-cache')
  )
}
