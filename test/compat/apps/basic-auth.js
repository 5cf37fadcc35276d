import auth from '@fastify/auth'
import basicAuth from '@fastify/basic-auth'

export default async function (app) {
  await app.register(basicAuth, {
    validate: async (name, password) => {
      if (name !== 'ada' || password !== 'lovelace') throw new Error('The name or the password is wrong')
    },
    authenticate: { realm: 'example' }
  })
  await app.register(auth)
  app.get('/closed', { onRequest: app.auth([app.basicAuth]) }, async () => ({ closed: true }))
  app.get('/', async () => ({ open: true }))
}
