import { Authenticator } from '@fastify/passport'
import secureSession from '@fastify/secure-session'
import { Strategy } from 'passport-local'

const USERS = { ada: 'lovelace' }

export default async function (app) {
  const passport = new Authenticator()
  passport.registerUserSerializer(async (user) => user.name)
  passport.registerUserDeserializer(async (name) => ({ name }))
  passport.use('local', new Strategy((name, password, done) => done(null, USERS[name] === password ? { name } : false)))
  await app.register(secureSession, {
    secret: 'a secret of at least thirty-two characters',
    salt: 'mq9hDxBVDbspDR6n',
    cookie: { path: '/' }
  })
  await app.register(passport.initialize())
  await app.register(passport.secureSession())
  app.post('/login', { preValidation: passport.authenticate('local', { authInfo: false }) }, async (request) => ({
    name: request.user.name
  }))
  app.get('/', async (request) => ({ name: request.user?.name ?? null }))
  app.post('/logout', async (request) => {
    await request.logout()
    return { name: null }
  })
}
