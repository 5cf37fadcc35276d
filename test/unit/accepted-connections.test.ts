import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createLog } from '../../src/common/log.ts'
import { loadConfig } from '../../src/config/load.ts'
import { type AcceptingHandle, bindTcp, boundPort } from '../../src/node-internals/listening-handle.ts'
import { takePort } from '../../src/primary/listener/port.ts'
import { Connections } from '../../src/worker/connections/connections.ts'
import { cleanup } from '../helpers/cleanup.ts'
import { Connection } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const CONNECTIONS = 50

/** Opens connections that wait in the kernel: it establishes each within the call, while this process cannot accept. */
async function openWaiting(t: TestContext, port: number): Promise<Connection[]> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(port)))
  cleanup(t, () => {
    for (const client of clients) client.close()
  })
  return clients
}

async function isRefused(port: number): Promise<boolean> {
  const [{ code }] = await once(connect(port, '127.0.0.1'), 'error')
  return code === 'ECONNREFUSED'
}

test('a port that closes accepts every connection that waits in the kernel', async (t) => {
  const log = await createLog({ logLevel: 'silent' }, { role: 'primary' })
  const accepted: { close(): void }[] = []
  const config = { scheduling: 'rr', host: '127.0.0.1', port: 0, listenFd: undefined, reusePortLoss: 'refuse' } as const
  const port = await takePort(config, (handle) => accepted.push(handle), log)
  const opened = openWaiting(t, port.number!)
  await port.close()
  const clients = await opened
  assert.equal(accepted.length, CONNECTIONS)
  for (const handle of accepted) handle.close()
  await until(() => clients.every(({ ended }) => ended), 'the end of all')
  assert.ok(await isRefused(port.number!))
})

test('the last worker on a shared port that closes accepts every connection that waits in the kernel, and answers it', async (t) => {
  const connections = new Connections(loadConfig({}).http, undefined)
  connections.serve((_, response) => response.end('answer'))
  const handle = bindTcp('127.0.0.1', 0, 4)
  connections.acceptor.startShared(handle as unknown as AcceptingHandle, (status) => assert.fail(String(status)))
  const port = boundPort(handle)!
  const opened = openWaiting(t, port)
  await connections.acceptor.stop(true)
  const clients = await opened
  assert.ok(await isRefused(port))
  const answers = await Promise.all(clients.map((client) => client.request('GET', '/')))
  assert.ok(answers.every(({ body }) => body === 'answer'))
})
