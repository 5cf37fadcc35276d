import secureSession from '@fastify/secure-session'

export default async function (app) {
  await app.register(secureSession, {
    secret: 'a secret of at least thirty-two characters',
    salt: 'mq9hDxBVDbspDR6n',
    cookie: { path: '/', httpOnly: true }
  })
  app.post('/name', async (request) => {
    request.session.set('name', request.body.name)
    return { saved: true }
  })
  app.get('/', async (request) => ({ name: request.session.get('name') ?? null }))
}
