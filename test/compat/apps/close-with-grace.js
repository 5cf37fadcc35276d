import closeWithGrace from 'close-with-grace'
import Fastify from 'fastify'

const app = Fastify()
closeWithGrace({ delay: 500 }, async ({ err }) => {
  if (err) app.log.error(err)
  await app.close()
})
app.get('/', async () => ({ hello: 'world' }))
app.listen({ port: 3000 })
