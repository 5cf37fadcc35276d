import type { Context } from '@opentelemetry/api'
import type { RedisConnection, SentCommand } from '../../../state/redis/redis-connection.ts'
import type { OpenTelemetry, Tracing } from './tracing.ts'

interface Pipeline {
  sendCommand(command: SentCommand): unknown
}

/**
 * Makes a span of every Redis command that is sent for a request. A command that carries the values of several requests belongs to
 * the request that began it. Arguments are keys and values: no span has them.
 */
export function traceRedis({ api, tracing, redis }: { api: OpenTelemetry; tracing: Tracing; redis: RedisConnection }) {
  const { context, trace, SpanKind } = api
  const tracer = trace.getTracer('muster')
  const attributes = { 'db.system.name': 'redis', 'db.namespace': String(redis.db), ...addressOf(redis) }
  /** Commands of an automatic pipeline are sent in a later turn, which belongs to the request that began the pipeline. */
  const contexts = new WeakMap<SentCommand, Context>()
  const client = redis.client as unknown as { pipeline(...commands: unknown[]): Pipeline }
  const createPipeline = client.pipeline.bind(client)
  client.pipeline = (...commands) => {
    const pipeline = createPipeline(...commands)
    const send = pipeline.sendCommand.bind(pipeline)
    pipeline.sendCommand = (command) => {
      contexts.set(command, context.active())
      return send(command)
    }
    return pipeline
  }
  redis.onSend = (command) => {
    const parent = contexts.get(command) ?? context.active()
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
