import { join } from 'node:path'
import staticFiles from '@fastify/static'
import view from '@fastify/view'
import ejs from 'ejs'

export default async function (app) {
  await app.register(view, { engine: { ejs }, root: join(import.meta.dirname, 'templates') })
  await app.register(staticFiles, { root: join(import.meta.dirname, 'public'), prefix: '/assets/' })
  app.get('/', (request, reply) => reply.view('index.ejs', { name: request.query.name ?? 'world' }))
}
