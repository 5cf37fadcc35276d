import type { FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'

export default async function (fastify: FastifyInstance) {
  fastify.setValidatorCompiler(validatorCompiler)
  fastify.setSerializerCompiler(serializerCompiler)
  const app = fastify.withTypeProvider<ZodTypeProvider>()
  const schema = {
    querystring: z.object({ x: z.coerce.number(), y: z.coerce.number() }),
    response: { 200: z.object({ sum: z.number() }) }
  }
  app.get('/add', { schema }, async (request) => ({ sum: request.query.x + request.query.y }))
  app.post('/', { schema: { body: z.object({ name: z.string().min(2) }) } }, async (request) => ({
    length: request.body.name.length
  }))
}
