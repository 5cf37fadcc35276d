import { HttpError, object } from 'muster-serve'

const TICKETS = 3
const SignIn = object({ name: { type: 'string', minLength: 1, maxLength: 64 } })

// Every worker runs this function once. What workers share is in Redis: variables of this file are not shared.
/** @type {import('muster-serve').TypedRoutes} */
const routes = async (app) => {
  // No two requests get the same number, whichever worker serves them.
  app.get('/', async (request) => ({
    hits: await app.shared.hits.increment(),
    name: request.session.name ?? null,
    worker: app.worker.slot
  }))

  app.post('/session', { schema: { body: SignIn }, config: { rateLimit: app.signInLimit } }, async (request) => {
    await app.sessions.signIn(request, request.body.name)
    return { name: request.body.name }
  })

  app.delete('/session', async (request, reply) => {
    await app.sessions.signOut(request, reply)
    return reply.code(204).send()
  })

  // One sale at a time over all workers, so that no ticket too many is sold.
  const sold = app.shared.counter('tickets')
  app.post('/tickets', () =>
    app.shared.lock(
      'tickets',
      5000,
      async () => {
        if ((await sold.read()) >= TICKETS) throw new HttpError(409, 'SOLD_OUT', 'There is no ticket left')
        return { ticket: await sold.increment() }
      },
      { waitMs: 5000 }
    )
  )
}

export default routes
