import assert from 'node:assert/strict'
import { once as emitted } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { cleanup } from '../helpers/cleanup.ts'
import { once as ask } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { processesWith, startService } from '../helpers/service.ts'
import { NotifySocket } from '../helpers/systemd.ts'
import { until } from '../helpers/until.ts'
import { primaryOf, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

/** As systemd passes a socket: descriptor 3, meant for the process of this pid. */
const WITH_SOCKET = 'env LISTEN_FDS=1 LISTEN_PID=$$'
const noSystemd = { skip: missing('systemd-notify', 'perl') }
const noNamespaces = { skip: missing('unshare') }

test(
  'systemd follows an upgrade: MAINPID, READY, the watchdog and the socket that it has passed',
  noSystemd,
  async (t) => {
    const systemd = await NotifySocket.open(t)
    const server: Server & { _handle?: { fd: number } } = createServer().listen(0, '127.0.0.1')
    await emitted(server, 'listening')
    cleanup(t, () => server.close())
    const { port } = server.address() as { port: number }
    const env = { APP: fixture('slow'), NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '400000', CANARY_TIME: '100' }
    const service = await startService(t, { env, workers: 1, launcher: WITH_SOCKET, fd: server._handle!.fd })
    server.close()
    await until(() => systemd.states.length === 1, 'READY')
    for (let i = 0; i < 2; i++) await upgrade(service)
    await until(() => systemd.states.length >= 5, 'READY of the new primary')
    assert.deepEqual(systemd.states, ['READY', 'RELOADING', 'READY', 'RELOADING', 'READY'])
    await until(() => Number(systemd.said('MAINPID').at(-1)) === primaryOf(service), 'MAINPID of the new primary')
    assert.equal((await ask(port, 'GET', '/echo?id=1')).status, 200)
    const signs = systemd.said('WATCHDOG').length
    await until(() => systemd.said('WATCHDOG').length >= signs + 2, 'signs of life of the new primary')
    await stopUpgraded(service)
  }
)

test(
  'as process 1, the old primary stays: it forwards signals, and exits with the code of its successor',
  noNamespaces,
  async (t) => {
    const service = await startService(t, {
      env: { APP: fixture('slow'), CANARY_TIME: '100' },
      workers: 1,
      launcher: 'unshare --user --map-root-user --pid --fork --kill-child --mount-proc'
    })
    for (let i = 0; i < 2; i++) {
      const from = service.lines.length
      // The first process in the namespace is the primary.
      const [first] = processesWith(service.runDir).filter((pid) => isFirst(pid))
      process.kill(first!, 'SIGUSR2')
      await service.line(({ msg }) => msg === 'primary replaced', from)
      assert.notEqual(primaryOf(service), 1)
      assert.equal((await ask(service.port, 'GET', '/echo?id=1')).status, 200)
    }
    const [first] = processesWith(service.runDir).filter((pid) => isFirst(pid))
    process.kill(first!, 'SIGTERM')
    await service.line(({ msg }) => msg === 'service ended')
    assert.deepEqual(await service.exited, { code: 0, signal: null })
  }
)

/** Whether a process is process 1 of a namespace below this one. */
function isFirst(pid: number): boolean {
  const ids = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.split(/\s+/) ?? []
  return ids.length > 1 && ids.at(-1) === '1'
}
