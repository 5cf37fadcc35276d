// Apart from the code, so that the types of the package reach no internal ones.
import type { FastifyInstance } from 'fastify'
import type { AppOptions } from '../http/app-options.ts'

/**
 * What a module exports as its app: a Fastify plugin, an app of Express, Nest, Koa or Hono, a listener `(req, res)`, or the
 * module itself (`import * as app from './app.js'`), whose exports `options` and `muster` then count too.
 */
export type TestedApp = ((...args: never[]) => unknown) | object

export interface TestAppOptions {
  /**
   * Configuration beside the environment of this process: `{ SESSION_IDLE: '1000' }`. A file `.env` is not read. Defaults that
   * differ from those of the service: `LOG_LEVEL=error`, `MAX_LOOP_DELAY=0`, `REDIS_TIMEOUT=5000`.
   */
  env?: Record<string, string>
  /** What the service adds to the app, as `service` of the config file. Options of the app itself are stronger. */
  service?: AppOptions
  /** Another test app. This one becomes a further worker of its service: they share all state. Close this one first. */
  sharesStateWith?: FastifyInstance
}
