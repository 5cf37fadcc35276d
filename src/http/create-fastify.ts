import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerFactory,
  type FastifyServerOptions,
  LogController
} from 'fastify'
import { StartupError } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Config } from '../config/load.ts'
import { answerClientError, type ServerConnections } from './client-errors.ts'
import { deferBindings } from './plugins/log/deferred-bindings.ts'
import { createRequestIds } from './plugins/log/request-log.ts'
import { passedServerOptions } from './server-options.ts'

interface FastifyDeps {
  config: Pick<Config, 'http'>
  log: Logger
  /** Undefined: Fastify's own server. */
  serverFactory?: FastifyServerFactory
  /** Undefined when the server is Fastify's own. */
  connections?: ServerConnections
}

/**
 * Creates the instance of Fastify that everything runs in.
 * @param appOptions options of Fastify that the app exports, which were checked
 * @throws StartupError when Fastify refuses them
 */
export function createFastify(
  appOptions: FastifyServerOptions,
  { config, log, serverFactory, connections }: FastifyDeps
): FastifyInstance {
  const options: FastifyServerOptions = {
    ...passedServerOptions(appOptions),
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: createRequestIds(appOptions),
    bodyLimit: appOptions.bodyLimit ?? config.http.bodyBytes,
    keepAliveTimeout: config.http.keepAliveMs,
    requestTimeout: config.http.requestMs,
    ...(serverFactory && { serverFactory }),
    clientErrorHandler: (error, socket) => answerClientError(error, socket, connections)
  }
  try {
    const app = Fastify(options)
    deferBindings(app.log as Logger)
    return app
  } catch (error) {
    throw new StartupError(`Fastify refuses the options of the app: ${(error as Error).message}`)
  }
}
