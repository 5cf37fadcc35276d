import type { FastifyRequest } from 'fastify'
import { object } from '../common/json-schema.ts'
import { visitsOf } from '../http/plugins/session/session-plugin.ts'
import type { TypedRoutes } from '../http/typed-routes.ts'

const View = object({
  visits: { type: 'integer' },
  name: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  createdAt: { anyOf: [{ type: 'integer' }, { type: 'null' }] }
})
const SignIn = {
  ...object({ name: { type: 'string', minLength: 1, maxLength: 64, pattern: '\\S' } }),
  additionalProperties: false
} as const

/** Who you are here: read, sign in, sign out. Forms of the page are sent back to it; everybody else gets JSON. */
export const session: TypedRoutes = async (app) => {
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body as string)))
  })

  app.get('/session', { schema: { response: { 200: View } } }, view)

  const signIn = { schema: { body: SignIn, response: { 200: View } }, config: { rateLimit: app.signInLimit } }
  app.post('/session', signIn, async (request, reply) => {
    await app.sessions.signIn(request, request.body.name)
    if (isForm(request)) return reply.redirect('/', 303)
    return view(request)
  })

  app.delete('/session', async (request, reply) => {
    await app.sessions.signOut(request, reply)
    return reply.code(204).send()
  })

  // What a form can send: it knows no DELETE.
  app.post('/session/sign-out', async (request, reply) => {
    await app.sessions.signOut(request, reply)
    return isForm(request) ? reply.redirect('/', 303) : reply.code(204).send()
  })
}

async function view(request: FastifyRequest) {
  const { name = null, createdAt = null } = request.session
  return { visits: await visitsOf(request), name, createdAt }
}

const isForm = (request: FastifyRequest): boolean =>
  request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
