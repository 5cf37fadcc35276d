import { existsSync } from 'node:fs'
import type { FastifyPluginAsync } from 'fastify'
import { onlyAtAdminPort } from '../plugins/admin/admin-port.ts'
import type { AdminOptions } from '../plugins/admin/admin-routes.ts'
import { OWN_PAGE_HEADERS } from '../plugins/security/security-headers.ts'
import { assetFrom, fillTemplate, PAGE_POLICY, readAsset, sendAsset, serveAssets } from './assets.ts'

const FOLDER = new URL('profiles/', import.meta.url)
/** A file stands after the files that it imports. */
const FILES = [
  'profiles-style.css',
  'profiles-dom.js',
  'admin-api.js',
  'flame-view.js',
  'cpu-view.js',
  'heap-thread.js',
  'heap-view.js',
  'profiles.js'
]
/** What the page shares with the command line. */
const SHARED = [
  'cpu-profile.js',
  'call-tree.js',
  'function-samples.js',
  'match-anonymous.js',
  'compare-profiles.js',
  'rank-functions.js',
  'heap-graph.js',
  'heap-reader.js',
  'dominators.js',
  'heap-summary.js',
  'compare-heaps.js'
]

/**
 * `GET /admin/profiles`: flame graphs and heap snapshots. The page computes everything in the browser, from the files that it
 * gets with the operator's token. Without configured tokens the path does not exist.
 */
export const profilesPage: FastifyPluginAsync<Pick<AdminOptions, 'config' | 'routes'>> = async (
  app,
  { config, routes }
) => {
  const { controlTokens = [], readTokens = [] } = config.admin
  const url = routes.pathOf('admin')
  const path = `${url}/profiles`
  if (url === false || controlTokens.length + readTokens.length === 0 || !routes.claimUrl(path)) return
  onlyAtAdminPort(app)
  // A thread has the policy of its script, not that of the page.
  app.addHook('onRequest', (_request, reply, done) => {
    void reply.headers({ ...OWN_PAGE_HEADERS, 'content-security-policy': PAGE_POLICY })
    done()
  })
  const base = `${path}/assets/`
  const served = new Map<string, string>()
  serveAssets(app, compiledFolder(), SHARED, base, served)
  const { 'console-icon': icon } = serveAssets(app, new URL('console/', import.meta.url), ['console-icon.svg'], base)
  const { profiles: js, 'profiles-style': css, 'heap-thread': thread } = serveAssets(app, FOLDER, FILES, base, served)
  const template = readAsset(new URL('profiles.html', FOLDER))
  const page = assetFrom(
    fillTemplate(template.content, { url, css: css!, js: js!, thread: thread!, icon: icon! }),
    template.type
  )
  const schema = { summary: 'Flame graphs and heap snapshots, a page that asks for the control token', tags: ['admin'] }
  app.get(path, { config: { session: false, quiet: true }, schema }, (request, reply) =>
    sendAsset(request, reply, page, 'no-cache')
  )
}

/** The folder of the shared modules, compiled. From TypeScript, as `npm run dev` runs it, it is that of the last build. */
function compiledFolder(): URL {
  const beside = new URL('../../profiling/', import.meta.url)
  const isCompiled = existsSync(new URL('cpu-profile.js', beside))
  return isCompiled ? beside : new URL('../../../dist/src/profiling/', import.meta.url)
}
