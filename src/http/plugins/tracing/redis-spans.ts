import type { RedisConnection } from '../../../state/redis/redis-connection.ts'
import type { OpenTelemetry, Tracing } from './tracing.ts'

/**
 * Makes a span of every Redis command that is sent for a request. A command that carries the values of several requests belongs to
 * the request that began it. Arguments are keys and values: no span has them.
 */
export function traceRedis({ api, tracing, redis }: { api: OpenTelemetry; tracing: Tracing; redis: RedisConnection }) {
  const { context, trace, SpanKind } = api
  const tracer = trace.getTracer('muster')
  const attributes = { 'db.system.name': 'redis', 'db.namespace': String(redis.db), ...addressOf(redis) }
  redis.onSend = (command) => {
    const parent = context.active()
    if (!trace.getSpan(parent)?.isRecording()) return
    const name = command.name.toUpperCase()
    const options = { kind: SpanKind.CLIENT, attributes: { ...attributes, 'db.operation.name': name } }
    tracing.endWith(tracer.startSpan(name, options, parent), command.promise)
  }
}

function addressOf({ client }: RedisConnection): Record<string, string | number> {
  const { path, host, port } = client.options as { path?: string; host?: string; port?: number }
  if (path) return { 'server.address': path, 'network.transport': 'unix' }
  return { ...(host && { 'server.address': host }), ...(port && { 'server.port': port }) }
}
