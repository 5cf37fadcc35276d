import oauth2 from '@fastify/oauth2'

export default async function (app) {
  await app.register(oauth2, {
    name: 'exampleAuth',
    credentials: {
      client: { id: 'the-client', secret: 'the-secret' },
      auth: {
        authorizeHost: process.env.PROVIDER,
        authorizePath: '/authorize',
        tokenHost: process.env.PROVIDER,
        tokenPath: '/token'
      }
    },
    startRedirectPath: '/login',
    callbackUri: (request) => `${request.protocol}://${request.host}/login/callback`
  })
  app.get('/login/callback', async (request, reply) => {
    try {
      const { token } = await app.exampleAuth.getAccessTokenFromAuthorizationCodeFlow(request)
      return { token: token.access_token }
    } catch {
      return reply.code(401).send({ error: 'The login failed' })
    }
  })
  app.get('/', async () => ({ open: true }))
}
