import { join } from 'node:path'
import staticFiles from '@fastify/static'

export default async function (app) {
  await app.register(staticFiles, { root: join(import.meta.dirname, 'public') })
}
