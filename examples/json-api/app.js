// A JSON API: accounts, sign-in, and todos of each user. Sessions, counters and rate limits come from the service.
import { randomBytes, scrypt as scryptCallback, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { HttpError } from 'muster-serve'

const scrypt = promisify(scryptCallback)
const KEY_BYTES = 32
/** Checked in place of an unknown user's password, so that the time of the answer does not tell who has an account. */
const NO_ACCOUNT = `${'0'.repeat(32)}:${'0'.repeat(KEY_BYTES * 2)}`

const text = (minLength, maxLength) => ({ type: 'string', minLength, maxLength })
const body = (properties) => ({
  schema: { body: { type: 'object', properties, required: Object.keys(properties), additionalProperties: false } }
})
const credentials = body({ user: text(1, 64), password: text(12, 256) })

export default async function (app) {
  const signInRoute = { ...credentials, config: { rateLimit: app.signInLimit } }

  app.post('/accounts', signInRoute, async (request, reply) => {
    const { user, password } = request.body
    // HSETNX: of two requests that want the same name, one gets it.
    if (!(await app.redis.hsetnx('accounts', user, await hash(password)))) {
      throw new HttpError(409, 'NAME_TAKEN', 'This name is taken: choose another one')
    }
    await app.sessions.signIn(request, user)
    return reply.code(201).send({ user })
  })

  app.post('/sign-in', signInRoute, async (request) => {
    const { user, password } = request.body
    if (!(await matches(password, (await app.redis.hget('accounts', user)) ?? NO_ACCOUNT))) {
      throw new HttpError(401, 'WRONG_PASSWORD', 'The name or the password is wrong')
    }
    await app.sessions.signIn(request, user)
    return { user }
  })

  app.post('/sign-out', async (request, reply) => {
    await app.sessions.signOut(request, reply)
    return reply.code(204).send()
  })

  await app.register(todos, { prefix: '/todos' })
}

/** Todos of the user who is signed in: a hash in Redis, from number to text. */
async function todos(app) {
  const numbers = app.shared.counter('todos')
  const keyOf = (request) => `todos:${request.session.name}`

  app.addHook('preHandler', async (request) => {
    if (!request.session.name) throw new HttpError(401, 'SIGN_IN', 'Sign in first')
  })

  app.get('/', async (request) => {
    const found = Object.entries(await app.redis.hgetall(keyOf(request)))
    return found.map(([id, text]) => ({ id: Number(id), text })).sort((a, b) => a.id - b.id)
  })

  app.post('/', body({ text: text(1, 500) }), async (request, reply) => {
    const todo = { id: await numbers.increment(), text: request.body.text }
    await app.redis.hset(keyOf(request), todo.id, todo.text)
    return reply.code(201).send(todo)
  })

  app.delete('/:id', async (request, reply) => {
    if (!(await app.redis.hdel(keyOf(request), request.params.id))) {
      throw new HttpError(404, 'NO_TODO', `You have no todo ${request.params.id}`)
    }
    return reply.code(204).send()
  })
}

async function hash(password) {
  const salt = randomBytes(16)
  return `${salt.toString('hex')}:${(await scrypt(password, salt, KEY_BYTES)).toString('hex')}`
}

async function matches(password, stored) {
  const [salt, key] = stored.split(':').map((part) => Buffer.from(part, 'hex'))
  return timingSafeEqual(await scrypt(password, salt, KEY_BYTES), key)
}
