import type { FastifyPluginAsync, FastifyServerOptions } from 'fastify'
import { digest } from './digest.ts'
import { events } from './events.ts'
import { hits } from './hits.ts'
import { home } from './home.ts'
import { session } from './session.ts'

/**
 * The routes of the example. Add your own in this folder and register them here, or set APP to a plugin that replaces all of
 * them.
 */
const routes: FastifyPluginAsync = async (app) => {
  // No route here reads text/plain, which forms of any site can send.
  app.removeContentTypeParser('text/plain')
  await app.register(home)
  await app.register(hits)
  await app.register(session)
  await app.register(digest)
  await app.register(events)
}

/** A trailing slash does not change the path. */
export const options: FastifyServerOptions = { routerOptions: { ignoreTrailingSlash: true } }

export default routes
