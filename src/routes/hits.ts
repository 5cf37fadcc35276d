import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'

const schema = { response: { 200: Type.Object({ hits: Type.Integer() }) } }

/** The counter alone: no session, no cookie. */
export const hits: FastifyPluginAsyncTypebox = async (app) => {
  const config = { session: false } as const
  app.post('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.increment() }))
  app.get('/hits', { schema, config }, async () => ({ hits: await app.shared.hits.read() }))
}
