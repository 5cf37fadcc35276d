import type { FastifyPluginAsync } from 'fastify'
import { digest } from './digest.ts'
import { events } from './events.ts'
import { hits } from './hits.ts'
import { home } from './home.ts'
import { session } from './session.ts'

/** The example's routes. Yours go beside them and are registered here, by name; or APP names a plugin in their place. */
const routes: FastifyPluginAsync = async (app) => {
  await app.register(home)
  await app.register(hits)
  await app.register(session)
  await app.register(digest)
  await app.register(events)
}

export default routes
