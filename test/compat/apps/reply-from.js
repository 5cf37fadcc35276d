import replyFrom from '@fastify/reply-from'

export default async function (app) {
  await app.register(replyFrom, { base: process.env.UPSTREAM })
  app.get('/', (_request, reply) => reply.from('/hello'))
  app.post('/', (_request, reply) => reply.from('/echo'))
}
