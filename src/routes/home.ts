import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { countHit, countVisit, fillTemplate, object, PAGE_POLICY, readAsset, serveAssets } from '../index.ts'
import { linksOf, readPackage } from './links.ts'
import { prefersHtml } from './prefers-html.ts'

const FOLDER = new URL('page/', import.meta.url)
/** A file stands after the files that it imports. */
const FILES = ['page.css', 'plot.js', 'worker-grid.js', 'demo.js', 'live.js', 'icon.svg']

const integer = { type: 'integer' } as const
/** The answer for clients that prefer JSON. */
const View = object({
  hits: integer,
  visits: integer,
  worker: object({ slot: integer, pid: integer, generation: integer }),
  host: { type: 'string' }
})

/** `/`: counts one hit and one visit of the session. Browsers get a page, other clients JSON. */
export const home: FastifyPluginAsync = async (app) => {
  const page = readAsset(new URL('page.html', FOLDER))
  const { page: css, live: js, icon } = serveAssets(app, FOLDER, FILES)
  const assets = { css: css!, js: js!, icon: icon! }
  const { slot, pid, generation, host } = app.worker
  const links = linksOf(readPackage(new URL(import.meta.url)))

  const options = { config: { countsHit: true, countsVisit: true }, schema: { response: { 200: View } } } as const
  app.get('/', options, async (request: FastifyRequest, reply: FastifyReply) => {
    const [hits, visits] = await Promise.all([countHit(request), countVisit(request)])
    void reply.header('vary', 'accept').header('cache-control', 'no-store')
    if (!prefersHtml(request)) {
      return { hits, visits, worker: { slot, pid, generation }, host }
    }
    const name = request.session.name ?? ''
    const banner = app.shared.settings.get('banner')
    const numbers = { hits, visits, slot, pid, generation, host }
    const parts = {
      signedIn: yesOrNo(name),
      hasConsole: yesOrNo(app.hasRoute({ method: 'GET', url: '/admin' })),
      hasDocs: yesOrNo(links.docs),
      hasRepository: yesOrNo(links.repository),
      hasDemo: yesOrNo(app.hasRoute({ method: 'POST', url: '/demo/kill' }))
    }
    const values = { ...assets, ...numbers, ...links, ...parts, name, banner }
    void reply.type(page.type).header('content-security-policy', PAGE_POLICY)
    return reply.send(fillTemplate(page.content, values))
  })
}

/** Styles of the page show a part, or hide it. */
const yesOrNo = (value: unknown) => (value ? 'yes' : 'no')
