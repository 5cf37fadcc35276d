import assert from 'node:assert/strict'
import { once as emitted } from 'node:events'
import { copyFileSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Connection, freePort, once } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { processesWith, startService, temporaryFolder } from '../helpers/service.ts'
import { NotifySocket } from '../helpers/systemd.ts'
import { until } from '../helpers/until.ts'
import '../helpers/takes-long.ts'

const noSystemd = { skip: missing('systemd-notify', 'perl') }
const noNotify = { skip: missing('systemd-notify') }
const noActivation = { skip: missing('systemd-socket-activate') }

/** As systemd passes a socket: descriptor 3, meant for the process of this pid. */
const WITH_SOCKET = 'env LISTEN_FDS=1 LISTEN_FDNAMES=muster.socket LISTEN_PID=$$'
const monotonicMicros = () => process.hrtime.bigint() / 1000n
const warnings = (lines: { msg: string }[]) =>
  lines.filter((line) => line.msg.startsWith('systemd notification failed'))

/** A release that can be replaced by another. */
function replaceable(t: TestContext): { app: string; release: (name: string) => void } {
  const app = join(temporaryFolder(t), 'app.mjs')
  const release = (name: string) => copyFileSync(fixture(name), app)
  release('plain')
  return { app, release }
}

/** A listening socket, its port and its descriptor. This process must let go of it before anybody connects. */
async function listening(t: TestContext): Promise<{ server: Server; port: number; fd: number }> {
  const server = createServer().listen(0, '127.0.0.1')
  await emitted(server, 'listening')
  t.after(() => server.close())
  const { fd } = (server as Server & { _handle: { fd: number } })._handle
  return { server, port: (server.address() as AddressInfo).port, fd }
}

test('systemd gets notifications of the start, of reloads and of the drain', noSystemd, async (t) => {
  const systemd = await NotifySocket.open(t)
  const { url } = await startRedis(t)
  const { app, release } = replaceable(t)
  const env = { REDIS_URL: url, APP: app, NOTIFY_SOCKET: systemd.path, KEEP_ALIVE_TIMEOUT: '60000' }
  const service = await startService(t, { env: { ...env, DRAIN_TIMEOUT: '60000' } })
  const states = (...wanted: string[]) =>
    until(() => systemd.states.length >= wanted.length, `${wanted.join(', ')}`).then(() =>
      assert.deepEqual(systemd.states, wanted)
    )
  const status = () => systemd.said('STATUS').at(-1)
  await states('READY')
  await until(() => status() === 'running: 2 of 2 workers ready, generation 1', 'the first status')

  const before = monotonicMicros()
  await service.reload()
  await states('READY', 'RELOADING', 'READY')
  const began = BigInt(systemd.said('MONOTONIC_USEC')[0]!)
  assert.ok(before <= began && began <= monotonicMicros(), `${before} ≤ ${began}`)
  await until(() => status() === 'running: 2 of 2 workers ready, generation 2', 'the status after a reload')

  release('crash-on-boot')
  await service.reload()
  await states('READY', 'RELOADING', 'READY', 'RELOADING', 'READY')
  await until(() => /^running: 2 of 2 .* generation 2; the last reload failed: .*broken/.test(status()!), 'its failure')

  // Its drain lasts as long as this connection.
  const client = await Connection.open(service.port)
  await client.request('GET', '/echo?id=1')
  service.child.kill('SIGTERM')
  await states('READY', 'RELOADING', 'READY', 'RELOADING', 'READY', 'STOPPING')
  client.close()
  assert.deepEqual(await service.exited, { code: 0, signal: null })
  assert.deepEqual([...new Set(systemd.said('MAINPID'))], [`${service.pid}`])
  assert.deepEqual(warnings(service.lines), [])
})

test('the watchdog is fed while more than half of the workers are ready, and only then', noSystemd, async (t) => {
  const systemd = await NotifySocket.open(t)
  const { url } = await startRedis(t)
  const { app, release } = replaceable(t)
  const env = { REDIS_URL: url, APP: app, NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '400000' }
  const service = await startService(t, { env })
  const signs = () => systemd.said('WATCHDOG').length
  await until(() => signs() >= 3, 'signs of life')

  release('crash-on-boot')
  const from = service.lines.length
  for (const pid of service.workers().keys()) process.kill(pid, 'SIGKILL')
  await service.until(() => service.lines.slice(from).filter((line) => line.msg === 'worker started').length >= 6)
  release('plain')
  await service.ready(2, from)
  const whenBack = signs()
  await until(() => signs() >= whenBack + 3, 'signs of life again')

  const without = systemd.messages.findIndex((message) => /^running: 0 of 2/.test(message.get('STATUS') ?? ''))
  assert.ok(without > 0, 'a status says that no worker is ready')
  const again = systemd.messages.findIndex((message, i) => i > without && /: 2 of 2/.test(message.get('STATUS') ?? ''))
  const between = systemd.messages.slice(without, again)
  assert.deepEqual(
    between.filter((message) => message.has('WATCHDOG')),
    []
  )
  const [first, last] = [service.lines[from], service.lines.findLast((line) => line.msg === 'worker ready')]
  assert.ok(Number(last?.time) - Number(first?.time) > 1000, 'long enough for several of them')
})

test('without systemd-notify the service runs and logs once what is missing', async (t) => {
  const { url } = await startRedis(t)
  const folder = temporaryFolder(t)
  symlinkSync('/bin/sh', join(folder, 'sh'))
  const env = { REDIS_URL: url, PATH: folder, NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '20000' }
  const service = await startService(t, { env })
  assert.match(
    JSON.stringify((await service.line((line) => /systemd notification failed/.test(line.msg))).err),
    /ENOENT/
  )
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  assert.equal(warnings(service.lines).length, 1)
})

test('without a listener on NOTIFY_SOCKET the service runs and logs it once', noNotify, async (t) => {
  const { url } = await startRedis(t)
  const service = await startService(t, { env: { REDIS_URL: url, NOTIFY_SOCKET: '/nowhere' } })
  const { err } = await service.line((line) => /systemd notification failed/.test(line.msg))
  assert.match(JSON.stringify(err), /notify/)
  assert.equal((await service.reload()).msg, 'rollout done')
  assert.deepEqual(await service.stop(), { code: 0, signal: null })
  assert.equal(warnings(service.lines).length, 1)
})

test("children inherit neither systemd's variables nor its socket", async (t) => {
  const { server, fd, port } = await listening(t)
  const ofSystemd = { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '60000000' }
  const service = await startService(t, { env: ofSystemd, fd, launcher: WITH_SOCKET })
  server.close()
  const children = () => processesWith(service.runDir).filter((pid) => pid !== service.pid)
  const names = (pid: number) =>
    readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .map((text) => text.split('=', 1)[0]!)
  const sockets = (pid: number) => readdirSync(`/proc/${pid}/fd`).map((one) => readlinkSync(`/proc/${pid}/fd/${one}`))
  const isTheirs = (name: string) => /^(NOTIFY|WATCHDOG|LISTEN)_/.test(name)
  const given = names(service.pid).filter(isTheirs).sort()
  assert.deepEqual(given, ['LISTEN_FDNAMES', 'LISTEN_FDS', 'LISTEN_PID', 'NOTIFY_SOCKET', 'WATCHDOG_USEC'])
  const socket = readlinkSync(`/proc/${service.pid}/fd/3`)
  assert.match(socket, /^socket:/)
  // systemd-notify has them, for as long as it runs.
  const clean = () => {
    try {
      return children().every((pid) => !names(pid).some(isTheirs) && !sockets(pid).includes(socket))
    } catch {
      return false // A process has just exited.
    }
  }
  await until(clean, 'children with neither the variables nor the socket')
  assert.ok(children().length >= 4, 'two workers, a shell and a Redis')
  assert.equal((await once(port, 'GET', '/livez')).status, 200)
})

test('with a socket from systemd no connection is refused during start and restart', async (t) => {
  const { url } = await startRedis(t)
  const { server, port, fd } = await listening(t)
  // The outer shell holds the socket and starts muster twice, as systemd does; PORT does not count.
  const launcher = `sh -c 'for i in 1 2; do sh -c "exec ${WITH_SOCKET.replace('$$', '\\$\\$')} \\"\\$@\\"" - "$@"; done' -`
  const service = await startService(t, { env: { REDIS_URL: url, PORT: '1' }, fd, launcher, wait: false })
  server.close()
  const early = once(port, 'POST', '/hits')
  const first = await service.line((line) => line.msg === 'muster started')
  assert.equal(first.port, port)
  assert.equal((await early).status, 200)

  process.kill(first.pid!, 'SIGTERM')
  await service.line((line) => line.msg === 'service ended')
  assert.equal((await once(port, 'POST', '/hits')).body, '{"hits":2}')
  const second = await service.line((line) => line.msg === 'muster started' && line.pid !== first.pid)
  process.kill(second.pid!, 'SIGTERM')
  assert.deepEqual(await service.exited, { code: 0, signal: null })
})

test(
  'systemd-socket-activate starts the service with the first connection, which is served',
  noActivation,
  async (t) => {
    const { url } = await startRedis(t)
    const port = await freePort()
    const passed = ['PORT', 'APP', 'WORKERS', 'RUN_DIR', 'REDIS_URL', 'NODE_V8_COVERAGE']
      .map((name) => `-E ${name}`)
      .join(' ')
    const launcher = `systemd-socket-activate -l 127.0.0.1:${port} ${passed}`
    const env = { REDIS_URL: url, NODE_V8_COVERAGE: process.env.NODE_V8_COVERAGE ?? '' }
    const service = await startService(t, { env, launcher, wait: false })
    await until(() => service.stderr.includes('Listening on'), 'systemd-socket-activate')
    assert.equal((await once(port, 'POST', '/hits')).body, '{"hits":1}')
    assert.equal((await service.line((line) => line.msg === 'muster started')).port, port)
    assert.deepEqual(await service.stop(), { code: 0, signal: null })
  }
)
