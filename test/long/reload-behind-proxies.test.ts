import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { freePort, once } from '../helpers/http.ts'
import { fixture, Load } from '../helpers/load.ts'
import { missing } from '../helpers/programs.ts'
import { startRedis } from '../helpers/redis.ts'
import { PATIENCE_MS, processesWith, type Service, startService } from '../helpers/service.ts'
import { SHIPPED_PROXIES, startShippedProxy } from '../helpers/shipped-proxies.ts'
import { sizeOf } from '../helpers/sizes.ts'
import { until } from '../helpers/until.ts'

const RELOADS = sizeOf('RELOADS_BEHIND_PROXY', 10)
const STOPS = sizeOf('STOPS_BEHIND_PROXY', 5)
const MIX = { tight: 4, fresh: 2, slow: 4, pipelined: 2, idle: 4, posts: 2, streams: 2 }

describe('two services behind a proxy, as deploy/proxies configures it', () => {
  for (const proxy of SHIPPED_PROXIES) {
    test(`reload and stop under load without a failed request behind ${proxy.name}`, {
      skip: missing(proxy.program)
    }, async (t) => {
      const { url, client } = await startRedis(t)
      const start = (port: number) =>
        startService(t, {
          env: {
            PORT: String(port),
            REDIS_URL: url,
            APP: fixture('slow'),
            CANARY_TIME: '0',
            LAME_DUCK: String(proxy.lameDuckMs)
          }
        })
      const ports: [number, number] = [await freePort(), await freePort()]
      const services = [await start(ports[0]), await start(ports[1])]
      const port = await startShippedProxy(t, proxy, ports)
      for (const service of services) await serves(port, service)

      const load = new Load(t, port, MIX)
      for (let reload = 0; reload < RELOADS; reload++) {
        await load.until(load.answered + 300)
        assert.equal((await services[reload % 2]!.reload()).msg, 'rollout done')
      }
      const reloaded = load.answered
      for (let stop = 0; stop < STOPS; stop++) {
        await load.until(load.answered + 300)
        const one = stop % 2
        assert.deepEqual(await services[one]!.stop(), { code: 0, signal: null })
        await load.until(load.answered + 300)
        services[one] = await start(ports[one]!)
        await serves(port, services[one])
      }
      await load.until(load.answered + 300)
      await load.stop()
      report(t, proxy.name, load, reloaded)
      assert.deepEqual([...load.failures], [])
      assert.equal(Number(await client.get('posts')), load.posted, 'every POST arrived once')
    })
  }

  // Caddy has no setting for it, as docs/how-to/proxies.md says.
  for (const proxy of SHIPPED_PROXIES.filter(({ program }) => program !== 'caddy')) {
    test(`${proxy.name} does not send a request again that a service received before it crashed`, {
      skip: missing(proxy.program)
    }, async (t) => {
      const { url, client } = await startRedis(t)
      const start = () => startService(t, { env: { REDIS_URL: url, APP: fixture('slow') }, workers: 1 })
      const services = [await start(), await start()]
      const port = await startShippedProxy(t, proxy, [services[0]!.port, services[1]!.port])
      for (const service of services) await serves(port, service)
      const answer = once(port, 'GET', '/slow?ms=600000&id=1')
      await until(async () => (await client.get('slow')) === '1', 'the request', PATIENCE_MS)
      const at = Number(await client.get('slow at'))
      const crashed = services.find(({ pid }) => pid === at)!
      for (const pid of processesWith(crashed.runDir)) process.kill(pid, 'SIGKILL')
      assert.equal((await answer).status, 502)
      assert.equal(await client.get('slow'), '1')
    })
  }
})

/** Waits until the proxy sends requests to this service. */
async function serves(port: number, service: Service): Promise<void> {
  await until(
    async () => {
      const { status, body } = await once(port, 'GET', '/service')
      return status === 200 && (JSON.parse(body) as { pid: number }).pid === service.pid
    },
    'a response of the service through the proxy',
    PATIENCE_MS
  )
}

/** Prints one row of the table of failures. */
function report(t: TestContext, name: string, { answered, failures }: Load, reloaded: number): void {
  const failed = [...failures.values()].reduce((sum, count) => sum + count, 0)
  t.diagnostic(
    `${name}: ${RELOADS} reloads with ${reloaded} requests, ${STOPS} stops with ${answered - reloaded}, ${failed} failed`
  )
}
