import flash from '@fastify/flash'
import secureSession from '@fastify/secure-session'

export default async function (app) {
  await app.register(secureSession, {
    secret: 'a secret of at least thirty-two characters',
    salt: 'mq9hDxBVDbspDR6n',
    cookie: { path: '/' }
  })
  await app.register(flash)
  app.post('/', async (request, reply) => {
    request.flash('warning', ['the name is missing'])
    return reply.redirect('/')
  })
  app.get('/', async (_request, reply) => ({ warnings: reply.flash('warning') }))
}
