import middie from '@fastify/middie'

export default async function (app) {
  await app.register(middie)
  app.use((_request, response, next) => {
    response.setHeader('x-middleware', 'yes')
    next()
  })
  app.use('/closed', (_request, response) => {
    response.statusCode = 403
    response.end('closed')
  })
  app.get('/', async () => ({ fastify: true }))
  app.get('/closed', async () => ({ reached: true }))
}
