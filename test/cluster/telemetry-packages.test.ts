import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startService, temporaryFolder } from '../helpers/service.ts'

test('without its packages, telemetry stops the start and says what to install', async (t) => {
  const app = join(temporaryFolder(t), 'app.mjs')
  writeFileSync(app, 'export default async function () {}\n')
  const env = { APP: app, REDIS: 'off', TELEMETRY: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
  const service = await startService(t, { env, workers: 1, wait: false })
  assert.deepEqual(await service.exited, { code: 78, signal: null })
  const ended = service.lines.find(({ msg }) => msg === 'service ended')
  assert.match(
    String(ended?.why),
    /needs packages that the app does not have: run `npm install @opentelemetry\/api@1\.9 @opentelemetry\/sdk-trace-node@2 @fastify\/otel@0\.21 @opentelemetry\/exporter-trace-otlp-http@0\.223`/
  )
})

test('a protocol that is not HTTP is refused at the start', async (t) => {
  const env = { REDIS: 'off', TELEMETRY: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }
  const service = await startService(t, { env, workers: 1, wait: false })
  assert.deepEqual(await service.exited, { code: 78, signal: null })
  assert.match(service.tail(), /OTEL_EXPORTER_OTLP_PROTOCOL: must be one of http\/protobuf, http\/json, not \\*"grpc/)
})
