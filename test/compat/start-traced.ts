import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { OtlpReceiver } from '../helpers/otlp-receiver.ts'
import { missing } from '../helpers/programs.ts'
import { RedisServer } from '../helpers/redis-server.ts'
import { type Service, startService } from '../helpers/service.ts'
import { FOLDER } from './installed.ts'

/** `npm run test:compat -- telemetry` runs the tests of spans alone; other names of cases leave them out. */
const asked = process.env.COMPAT_CASES?.split(',').includes('telemetry') ?? true
export const whySkipped = (...programs: string[]) => (asked ? missing('redis-server', ...programs) : 'not asked for')

/** Starts a service that sends its spans to a receiver, in JSON and ten times a second. */
export async function startTraced(
  t: TestContext,
  env: Record<string, string> = {},
  workers = 1
): Promise<{ service: Service; receiver: OtlpReceiver }> {
  const [redis, receiver] = await Promise.all([RedisServer.start(t), OtlpReceiver.start(t)])
  const service = await startService(t, {
    workers,
    env: {
      APP: join(FOLDER, 'apps', 'otel.js'),
      REDIS_URL: redis.url,
      TELEMETRY: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      ...env
    }
  })
  return { service, receiver }
}
