import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cleanup } from '../helpers/cleanup.ts'
import { dieUntilRefused, InnocentLoad, isQuarantined } from '../helpers/deadly-requests.ts'
import { once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { type Line, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const TIME_MS = 3000

test('a single request is let through after the time: it doubles the time when it ends its worker, and lifts the quarantine when it is answered', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'deadly-'))
  cleanup(t, () => rmSync(folder, { recursive: true }))
  const file = join(folder, 'deadly')
  writeFileSync(file, '')
  const env = { REDIS: 'off', APP: fixture('deadly'), RESTART_BACKOFF: '200', DEADLY_FILE: file }
  const service = await startService(t, { env: { ...env, QUARANTINE_TIME: String(TIME_MS) }, workers: 3 })
  const load = new InnocentLoad(t, service.port, ['/busy/a', '/busy/b', '/busy/c', '/busy/d', '/quick'])
  await load.more(350)
  await dieUntilRefused(service, 'GET', () => '/mendable')
  const isFor = (seconds: number) => (line: Line) => line.msg === 'route quarantined' && line.seconds === seconds
  await service.line(isFor(TIME_MS / 1000))
  // Refused until the time is over; then one request ends its worker.
  const ask = () => once(service.port, 'GET', '/mendable').catch(() => undefined)
  await until(async () => (await ask()) === undefined, 'the request that is let through')
  const again = await service.line(isFor((2 * TIME_MS) / 1000))
  assert.match(String(again.why), /let through/)
  rmSync(file)
  assert.ok(isQuarantined(await once(service.port, 'GET', '/mendable')))
  await until(async () => (await ask())?.status === 200, 'an answer')
  await service.line(({ msg, route }) => msg === 'quarantine lifted' && route === 'GET /mendable')
  assert.equal((await once(service.port, 'GET', '/mendable')).status, 200)
})
