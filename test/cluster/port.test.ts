import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { leaveToWorkers, type PortConfig } from '../../src/primary/listener/port.ts'
import { Connection } from '../helpers/http.ts'
import { fixture } from '../helpers/load.ts'
import { cleanEnvironment, temporaryFolder } from '../helpers/service.ts'

/** Gives a process the descriptor, as a service manager does; the lines that it prints. */
function take(t: TestContext, scheduling: string, fd: number) {
  const child = spawn(process.execPath, [fixture('take-port'), scheduling], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
    env: cleanEnvironment()
  })
  t.after(() => child.kill('SIGKILL'))
  return createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
}

/** A listening socket; this process lets go of it as soon as another one has it. */
async function listening(where: { port: number; host: string } | { path: string }) {
  const server = createServer().listen(where)
  await once(server, 'listening')
  return { server, fd: (server as typeof server & { _handle: { fd: number } })._handle.fd }
}

for (const scheduling of ['rr', 'sticky', 'shared']) {
  test(`${scheduling}: a socket from systemd replaces HOST and PORT`, async (t) => {
    const { server, fd } = await listening({ port: 0, host: '127.0.0.1' })
    const { port } = server.address() as { port: number }
    const lines = take(t, scheduling, fd)
    assert.equal((await lines.next()).value, `port ${port}`)
    server.close()
    const connection = await Connection.open(port)
    assert.equal((await lines.next()).value, 'accepted')
    connection.close()
  })

  test(`${scheduling}: a passed descriptor that is no TCP socket is refused`, async (t) => {
    const { server, fd } = await listening({ path: join(temporaryFolder(t), 'unix.sock') })
    t.after(() => server.close())
    for (const [descriptor, why] of [
      [fd, 'it is no TCP socket'],
      [openSync('/dev/null', 'r'), '.*EINVAL']
    ] as const) {
      const { value } = await take(t, scheduling, descriptor).next()
      assert.match(String(value), new RegExp(`^StartupError: cannot listen on the descriptor 3: ${why}`))
    }
  })
}

test('reuseport is refused with a remedy where it would lose connections', () => {
  const config: PortConfig = {
    scheduling: 'reuseport',
    host: '127.0.0.1',
    port: 8080,
    listenFd: undefined,
    reusePortLoss: 'refuse'
  }
  for (const node of ['20.19.0', '22.11.9']) {
    assert.throws(() => leaveToWorkers(config, node, true), {
      name: 'StartupError',
      message: `SCHEDULING=reuseport needs Node 22.12 or newer, and this is ${node}: set SCHEDULING to shared or rr`
    })
  }
  assert.throws(() => leaveToWorkers(config, '22.12.0', false), {
    name: 'StartupError',
    message: /loses connections at every reload.*sysctl net\.ipv4\.tcp_migrate_req=1.*REUSEPORT_LOSS=allow/
  })
  for (const node of ['22.12.0', '23.0.0', '24.1.0']) {
    assert.equal(leaveToWorkers(config, node, true).number, 8080)
    assert.equal(leaveToWorkers({ ...config, reusePortLoss: 'allow' }, node, false).number, 8080)
  }
})
