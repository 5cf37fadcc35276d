import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ConnectionOptions, connect } from 'node:tls'
import { sendCommand } from '../../src/primary/embedded-redis/send-command.ts'
import { Authority } from '../helpers/certificates.ts'
import { isQuarantined } from '../helpers/deadly-requests.ts'
import { once as ask } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { type Line, muster, type Service, startService } from '../helpers/service.ts'
import { until } from '../helpers/until.ts'
import { primaryOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

const CANARY_TIME = '100'

test('an upgrade carries over quarantines, the range of workers and the journal', async (t) => {
  const env = { APP: fixture('deadly'), CANARY_TIME, WORKERS: '1..4', REDIS: 'off' }
  const service = await startService(t, { workers: 1, env, wait: false })
  service.port = (await service.line(({ msg }) => msg === 'muster started')).port!
  await service.ready(1)
  const quarantined = async () => isQuarantined(await ask(service.port, 'GET', '/items/1'))
  assert.equal((await muster(service, 'quarantine', 'add', 'GET /items/:id')).code, 0)
  await until(quarantined, 'the quarantine')
  assert.equal((await muster(service, 'scale', '1..2')).code, 0)
  await upgrade(service)
  for (let i = 0; i < 4; i++) assert.ok(await quarantined())
  const status = JSON.parse((await muster(service, 'status', '--json')).stdout).result
  assert.equal(status.autoscaling.range, '1..2')
  const { stdout } = await muster(service, 'why')
  assert.match(stdout, /quarantined .*GET \/items\/:id/)
  assert.match(stdout, /upgraded/)
  // What an operator decides while an upgrade goes on holds in both primaries.
  const upgrading = muster(service, 'upgrade')
  await service.line(({ msg }) => msg === 'upgrade started', service.lines.length)
  const lifted = await muster(service, 'quarantine', 'lift', 'GET /items/:id')
  assert.equal(lifted.code, 0, lifted.stderr)
  assert.equal((await upgrading).code, 0)
  for (let i = 0; i < 4; i++) assert.equal(await quarantined(), false)
  await stopUpgraded(service)
})

test('clients resume their TLS sessions after an upgrade', async (t) => {
  const authority = new Authority(t)
  const ca = readFileSync(authority.file, 'utf8')
  const { cert, key } = authority.sign('service')
  const env = { APP: fixture('slow'), TLS_CERT: cert, TLS_KEY: key, CANARY_TIME }
  const service = await startService(t, { workers: 1, env })
  const session = await sessionOf(service.port, { ca })
  await upgrade(service)
  assert.ok(await isResumed(service.port, { ca, session }))
  await stopUpgraded(service)
})

test('what the embedded Redis says is in the log after upgrades, also after the death of the primary that started it', async (t) => {
  const env = { APP: fixture('slow'), CANARY_TIME, LOG_LEVEL: 'debug' }
  const service = await startService(t, { workers: 1, env })
  await expectRedisLine(service)
  for (let i = 0; i < 2; i++) {
    await upgrade(service)
    await expectRedisLine(service)
  }
  const old = primaryOf(service)
  const from = service.lines.length
  const upgrading = muster(service, 'upgrade')
  await service.line(({ msg, pid }) => {
    if (msg !== 'successor prepared' || pid !== old) return false
    process.kill(old, 'SIGKILL')
    return true
  })
  await upgrading
  await service.line(({ msg, pid }) => msg === 'embedded Redis adopted' && pid !== old, from)
  await until(() => primaryOf(service) !== old, 'the process id of the successor in the file')
  await expectRedisLine(service)
  await stopUpgraded(service)
})

async function expectRedisLine(service: Service): Promise<void> {
  const primary = primaryOf(service)
  const isOfRewrite = ({ msg, pid }: Line) => /^redis: Background append only file/.test(msg) && pid === primary
  const said = service.line(isOfRewrite, service.lines.length)
  const rewrite = () => sendCommand(join(service.runDir, 'redis.sock'), 'BGREWRITEAOF', 5000)
  // One that is under way lets no other one begin.
  await until(async () => /started/.test((await rewrite()) ?? ''), 'a rewrite')
  await said
}

/** Opens a TLS connection. @returns its session, which a later one can resume */
async function sessionOf(port: number, options: ConnectionOptions): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  const session = new Promise<Buffer>((resolve) => socket.once('session', resolve))
  // Tickets come with the first answer.
  socket.write('GET /echo?id=1 HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n')
  socket.resume()
  const result = await session
  socket.destroy()
  return result
}

async function isResumed(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', ...options })
  await once(socket, 'secureConnect')
  const isReused = socket.isSessionReused()
  socket.destroy()
  return isReused
}
