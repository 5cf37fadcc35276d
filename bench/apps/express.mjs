import { hostname } from 'node:os'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { Redis } from 'ioredis'

// Copied into the folder of the peer, where its packages are. What their documentation tells one to write, their
// defaults untouched; the session is on the page that has one, so that a hit pays for none.

const host = hostname()
const key = 'express:hits'
const redis = new Redis(String(process.env.REDIS_URL))
const app = express()
app.get('/readyz', (_request, response) => response.json({ ready: true }))
app.post('/hits', async (_request, response) => response.json({ hits: await redis.incr(key) }))
const sessions = session({
  secret: 'a secret with minimum length of 32 characters',
  store: new RedisStore({ client: redis, prefix: 'express:' }),
  resave: false,
  saveUninitialized: false
})
app.get('/', sessions, async (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1
  const worker = { slot: Number(process.env.NODE_APP_INSTANCE), pid: process.pid, generation: 1 }
  response.json({ hits: await redis.incr(key), visits: request.session.visits, worker, host })
})
app.listen(Number(process.env.PORT), process.env.HOST)
