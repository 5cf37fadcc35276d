import fastifyExpress from '@fastify/express'
import express from 'express'

export default async function (app) {
  await app.register(fastifyExpress)
  const router = express.Router()
  router.get('/hello/:name', (request, response) => response.json({ hello: request.params.name }))
  app.use((_request, response, next) => {
    response.setHeader('x-middleware', 'yes')
    next()
  })
  app.use('/express', router)
  app.get('/', async () => ({ fastify: true }))
}
