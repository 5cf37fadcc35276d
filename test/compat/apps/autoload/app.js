import { join } from 'node:path'
import autoload from '@fastify/autoload'

export default async function (app, options) {
  await app.register(autoload, { dir: join(import.meta.dirname, 'plugins'), options })
  await app.register(autoload, { dir: join(import.meta.dirname, 'routes'), options, routeParams: true })
}
