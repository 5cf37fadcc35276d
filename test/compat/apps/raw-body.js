import { createHmac } from 'node:crypto'
import rawBody from 'fastify-raw-body'

export default async function (app) {
  await app.register(rawBody, { runFirst: true })
  app.post('/webhook', async (request) => ({
    signature: createHmac('sha256', 'the key').update(request.rawBody).digest('hex'),
    kind: request.body.kind
  }))
  app.get('/', async () => ({ open: true }))
}
