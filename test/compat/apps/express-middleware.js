import compression from 'compression'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { Redis } from 'ioredis'
import morgan from 'morgan'
import multer from 'multer'

const app = express()
const client = new Redis(process.env.REDIS_URL)
const upload = multer({ storage: multer.memoryStorage() })

app.use(morgan('combined'))
app.use('/proxy', createProxyMiddleware({ target: process.env.UPSTREAM }))
app.use(compression({ threshold: 100 }))
app.use(
  session({
    secret: 'a secret of at least thirty-two characters',
    resave: false,
    saveUninitialized: false,
    store: new RedisStore({ client, prefix: 'express-sessions:' })
  })
)
app.get('/', (_request, response) => response.json({ text: 'compressible '.repeat(1000) }))
app.get('/visits', (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1
  response.json({ visits: request.session.visits })
})
app.post('/upload', upload.single('picture'), (request, response) =>
  response.json({ name: request.file.originalname, bytes: request.file.size })
)
app.get('/events', async (_request, response) => {
  response.set('content-type', 'text/event-stream').flushHeaders()
  for (const number of [1, 2, 3]) {
    response.write(`data: ${number}\n\n`)
    response.flush()
    await new Promise((resolve) => setImmediate(resolve))
  }
  response.end()
})

app.listen(3000)
