import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from '../log.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Asked by machines, often: its lines are at debug. */
    quiet?: boolean
  }
}

/** One line a request, when it is answered; its level follows the status. */
export const requestLog = fp(async (app: FastifyInstance) => {
  app.addHook('onResponse', (request, reply, done) => {
    const status = reply.statusCode
    const level = status >= 500 ? 'warn' : request.routeOptions.config.quiet ? 'debug' : 'info'
    if ((request.log as Logger).isLevelEnabled(level)) {
      const { method, url, ip } = request
      request.log[level]({ method, url, status, ms: Math.round(reply.elapsedTime * 1000) / 1000, ip }, 'request')
    }
    done()
  })
})
