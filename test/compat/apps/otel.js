// An app that knows nothing of OpenTelemetry: TELEMETRY=otlp traces it.
export default async function (app) {
  app.get('/', async (request) => {
    request.session.seen = Date.now()
    const hits = await app.shared.hits.increment()
    request.log.info('by the logger of the request')
    app.log.info('by the logger of the app')
    return { hits }
  })

  app.post('/echo/:id', { preHandler: async () => app.redis.get('before the handler') }, async (request) => {
    await Promise.all([app.redis.get('one'), app.redis.set('two', 'a secret value')])
    return request.body
  })

  app.get('/stream', { config: { resumable: true } }, (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    const timer = setInterval(() => reply.raw.write('data: tick\n\n'), 50)
    reply.raw.on('close', () => clearInterval(timer))
  })

  app.get('/fail', async () => {
    throw new Error('this fails')
  })
}
