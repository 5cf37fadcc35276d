import cookie from '@fastify/cookie'

export default async function (app) {
  await app.register(cookie, { secret: 'a secret of at least thirty-two characters' })
  app.get('/', async (request, reply) => {
    const { valid, value } = request.unsignCookie(request.cookies.seen ?? '')
    const seen = (valid ? Number(value) : 0) + 1
    reply.setCookie('seen', String(seen), { path: '/', signed: true, httpOnly: true })
    return { seen }
  })
  app.get('/forget', async (_request, reply) => reply.clearCookie('seen', { path: '/' }).code(204).send())
}
