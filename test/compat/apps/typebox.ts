import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'

const app: FastifyPluginAsyncTypebox = async (fastify) => {
  const schema = {
    querystring: Type.Object({ x: Type.Number(), y: Type.Number() }),
    response: { 200: Type.Object({ sum: Type.Number() }) }
  }
  fastify.get('/add', { schema }, async (request) => ({ sum: request.query.x + request.query.y }))
  fastify.post('/', { schema: { body: Type.Object({ name: Type.String({ minLength: 2 }) }) } }, async (request) => ({
    length: request.body.name.length
  }))
}

export default app
