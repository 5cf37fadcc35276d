import jwt from '@fastify/jwt'

export default async function (app) {
  await app.register(jwt, { secret: 'a secret of at least thirty-two characters' })
  app.post('/login', async (request) => ({ token: app.jwt.sign({ name: request.body.name }, { expiresIn: '1h' }) }))
  app.get('/me', { onRequest: (request) => request.jwtVerify() }, async (request) => ({ name: request.user.name }))
  app.get('/', async () => ({ open: true }))
}
