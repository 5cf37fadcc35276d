import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Authority } from '../helpers/certificates.ts'
import { envFile } from '../helpers/failing-upgrades.ts'
import { once as ask, freePort } from '../helpers/http.ts'
import { Http2Client } from '../helpers/http2.ts'
import { LastingClients } from '../helpers/lasting-clients.ts'
import { fixture, Load } from '../helpers/load.ts'
import { muster, startService } from '../helpers/service.ts'
import { failUpgrade, stopUpgraded, upgrade } from '../helpers/upgrades.ts'
import '../helpers/takes-long.ts'

const CALM_CANARY = { CANARY_TIME: '100' }
/** Clients that open no new connections, and so can stay at an address that closes. */
const STAYING = { tight: 2, slow: 2, idle: 4 }

async function lasting(t: TestContext, port: number): Promise<LastingClients> {
  const mix = { busySockets: 5, quietSockets: 5, streams: 5, transfers: 0 }
  return LastingClients.start(t, port, mix, { transferSeconds: 1 })
}

test('HOST changes without a failed request: connections of the old address stay open, and new ones go to the new address', async (t) => {
  const service = await startService(t, { workers: 2, env: { APP: fixture('lasting'), ...CALM_CANARY } })
  const { port } = service
  const load = new Load(t, port, STAYING)
  const clients = await lasting(t, port)
  assert.match(
    await failUpgrade(service, ...envFile(t, `HOST=0.0.0.0\nPORT=${port}\n`)),
    /HOST: 0\.0\.0\.0 and 127\.0\.0\.1 overlap.*change PORT/
  )
  await upgrade(service, ...envFile(t, `HOST=127.0.0.2\nPORT=${port}\n`))
  assert.equal((await fetch(`http://127.0.0.2:${port}/echo?id=1`)).status, 200)
  await assert.rejects(ask(port, 'GET', '/echo?id=1'), /ECONNREFUSED/)
  await clients.receiveMore()
  await Promise.all([load.stop(), clients.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual([...clients.noticed], [])
  await stopUpgraded(service)
})

test('SCHEDULING changes to shared, sticky and back, without a failed request and with every connection kept', async (t) => {
  const service = await startService(t, { workers: 2, env: { APP: fixture('lasting'), ...CALM_CANARY } })
  const load = new Load(t, service.port, { ...STAYING, fresh: 2, pipelined: 1 })
  const clients = await lasting(t, service.port)
  for (const scheduling of ['shared', 'sticky', 'shared', 'rr']) {
    await upgrade(service, ...envFile(t, `SCHEDULING=${scheduling}\n`))
    await load.until(load.answered + 50)
    const { result } = JSON.parse((await muster(service, 'status', '--json')).stdout)
    assert.equal(result.scheduling, scheduling)
  }
  await clients.receiveMore()
  await Promise.all([load.stop(), clients.stop()])
  assert.deepEqual([...load.failures], [])
  assert.equal(load.reopened, 0)
  assert.deepEqual([...clients.noticed], [])
  await stopUpgraded(service)
})

test('certificates change without a failed request', async (t) => {
  const authority = new Authority(t)
  const ca = readFileSync(authority.file, 'utf8')
  const [first, second] = [authority.sign('first'), authority.sign('second')]
  const env = { APP: fixture('slow'), KEEP_ALIVE_TIMEOUT: '4000', TLS_CERT: first.cert, TLS_KEY: first.key }
  const service = await startService(t, { workers: 2, env: { ...env, ...CALM_CANARY } })
  const load = new Load(t, service.port, { tight: 1, fresh: 1, slow: 2, idle: 5, multiplexed: 2 }, { ca })
  const before = await serialOf(service.port, ca)
  await upgrade(service, ...envFile(t, `TLS_CERT=${second.cert}\nTLS_KEY=${second.key}\n`))
  assert.notEqual(await serialOf(service.port, ca), before)
  await load.stop()
  assert.deepEqual([...load.failures], [])
  await stopUpgraded(service)
})

test('TLS is turned on at another port without a failed request, and refused at the same one', async (t) => {
  const authority = new Authority(t)
  const ca = readFileSync(authority.file, 'utf8')
  const { cert, key } = authority.sign('service')
  const env = { APP: fixture('slow'), KEEP_ALIVE_TIMEOUT: '4000', ...CALM_CANARY }
  const service = await startService(t, { workers: 2, env })
  const load = new Load(t, service.port, STAYING)
  const withTls = `TLS_CERT=${cert}\nTLS_KEY=${key}\n`
  assert.match(await failUpgrade(service, ...envFile(t, withTls)), /TLS_CERT, TLS_KEY: .*another PORT at the same time/)
  assert.equal(load.reopened, 0)
  const port = await freePort()
  await upgrade(service, ...envFile(t, `${withTls}PORT=${port}\n`))
  const secured = new Load(t, port, { tight: 1, fresh: 1, multiplexed: 1 }, { ca })
  await secured.until(50)
  await Promise.all([load.stop(), secured.stop()])
  // Connections without TLS are closed in order. Those that came too late to the old port are refused.
  assert.deepEqual(
    [...load.failures].filter(([kind]) => !kind.endsWith('connect: ECONNREFUSED')),
    []
  )
  assert.deepEqual([...secured.failures], [])
  await stopUpgraded(service)
})

async function serialOf(port: number, ca: string): Promise<string> {
  const client = await Http2Client.open(port, ca)
  const { serial } = client
  client.close()
  return serial
}
