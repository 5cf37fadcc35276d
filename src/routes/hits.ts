import { object } from '../common/json-schema.ts'
import type { TypedRoutes } from '../http/typed-routes.ts'

const schema = { response: { 200: object({ hits: { type: 'integer' } }) } }

/** The counter alone: no session, no cookie. */
export const hits: TypedRoutes = async (app) => {
  const config = { session: false } as const
  app.post('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.increment() }))
  app.get('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.read() }))
}
