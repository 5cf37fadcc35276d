import type { FastifyRequest } from 'fastify'
import { object, readVisits, type TypedRoutes } from '../index.ts'

const View = object({
  visits: { type: 'integer' },
  name: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  createdAt: { anyOf: [{ type: 'integer' }, { type: 'null' }] }
})
const SignIn = {
  ...object({ name: { type: 'string', minLength: 1, maxLength: 64, pattern: '\\S' } }),
  additionalProperties: false
} as const

/** `/session`: reads the session, signs in and signs out. Forms of the page are redirected to the page; other clients get JSON. */
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

  // For forms, which cannot send DELETE.
  app.post('/session/sign-out', async (request, reply) => {
    await app.sessions.signOut(request, reply)
    return isForm(request) ? reply.redirect('/', 303) : reply.code(204).send()
  })
}

async function view(request: FastifyRequest) {
  const { name = null, createdAt = null } = request.session
  return { visits: await readVisits(request), name, createdAt }
}

const isForm = (request: FastifyRequest): boolean =>
  request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
