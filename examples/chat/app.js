// A chat: a message goes to the WebSockets of every worker on every host, and the last ones are kept in Redis.
import { readFile } from 'node:fs/promises'
import websocket from '@fastify/websocket'

const KEPT = 100
/** Close code of WebSockets: Redis is away. The page connects again. */
const TRY_LATER = 1013

export default async function (app) {
  const page = await readFile(new URL('page.html', import.meta.url))
  await app.register(websocket, { options: { maxPayload: 4096 } })
  const { clients } = app.websocketServer
  const numbers = app.shared.counter('chat')

  app.shared.onBroadcast('chat', (message) => {
    for (const socket of clients) socket.send(message)
  })

  app.get('/', { config: { session: false } }, (_request, reply) => reply.type('text/html').send(page))

  app.get('/chat', { websocket: true, config: { session: false } }, (socket, request) => {
    const giveUp = (error) => {
      request.log.warn({ err: error }, 'chat failed')
      socket.close(TRY_LATER, 'try later')
    }
    let published = Promise.resolve()
    socket.on('message', (data) => {
      published = published.then(() => publish(parse(data))).catch(giveUp)
    })
    // When this worker is replaced, the next one goes on with the same socket, and calls this handler again.
    request.transferable(() => published)
    sendHistory(socket).catch(giveUp)
  })

  async function publish(message) {
    if (!message) return
    const id = await numbers.increment()
    const text = JSON.stringify({ id, ...message })
    await app.redis
      .multi()
      .zadd('chat', id, text)
      .zremrangebyrank('chat', 0, -KEPT - 1)
      .exec()
    await app.shared.broadcast('chat', text, { scope: 'all' })
  }

  /**
   * The page knows messages by their id, because it may get one twice: here and by a broadcast. What was said while a socket was on
   * its way to another worker is here.
   */
  async function sendHistory(socket) {
    for (const text of await app.redis.zrange('chat', 0, -1)) socket.send(text)
  }
}

/** Returns the message of a client, or undefined when it is none. */
function parse(data) {
  try {
    const { name, text } = JSON.parse(data)
    if (isText(name, 40) && isText(text, 1000)) return { name, text }
  } catch {}
}

const isText = (value, maxLength) => typeof value === 'string' && value.trim() !== '' && value.length <= maxLength
