import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Logger } from '../log.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Asked by machines, often: its lines are at debug. */
    quiet?: boolean
  }
}

/** One line a request, when it is over; its level follows the status. */
export const requestLog = fp(async (app: FastifyInstance) => {
  app.completion.observe((request, reply, { ms, aborted }) => {
    const status = reply.statusCode
    const level = status >= 500 ? 'warn' : request.routeOptions.config.quiet ? 'debug' : 'info'
    if (!(request.log as Logger).isLevelEnabled(level)) return
    const { method, url, ip } = request
    const line = { method, url, status, ms: Math.round(ms * 1000) / 1000, ip, ...(aborted && { aborted }) }
    request.log[level](line, 'request')
  })
})
