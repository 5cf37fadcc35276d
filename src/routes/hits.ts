import { object, type TypedRoutes } from '../index.ts'

const schema = { response: { 200: object({ hits: { type: 'integer' } }) } }

/** `/hits`: reads or increments the counter, without a session and without a cookie. */
export const hits: TypedRoutes = async (app) => {
  const config = { session: false } as const
  app.post('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.increment() }))
  app.get('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.read() }))
}
