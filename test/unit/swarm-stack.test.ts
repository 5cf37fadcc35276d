import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { environmentSchema } from '../../src/config/environment-schema.ts'

interface Service {
  image: string
  environment?: Record<string, string>
  read_only?: boolean
  cap_drop?: string[]
  ports?: { published: string; mode: string }[]
  stop_grace_period?: string
  volumes?: unknown[]
  deploy: {
    endpoint_mode?: string
    update_config: Record<string, unknown>
    resources: { limits: { memory?: string; pids?: number } }
  }
}
const services = parse(readFileSync('deploy/swarm/stack.yml', 'utf8')).services as Record<string, Service>
const { app, proxy } = services as Record<'app' | 'proxy', Service>
const seconds = (text: string | undefined) => Number(/^(\d+)s$/.exec(text ?? '')?.[1])
/** The default in a text such as "${NAME:-3000}". */
const defaultOf = (text: string | undefined) => Number(/:-(\d+)\}$/.exec(text ?? '')?.[1])

describe('deploy/swarm/stack.yml', () => {
  for (const [name, service] of Object.entries(services)) {
    test(`${name} cannot write to its file system, has no capability, and has limits`, () => {
      assert.deepEqual([service.read_only, service.cap_drop], [true, ['ALL']])
      const { memory, pids } = service.deploy.resources.limits
      assert.match(memory ?? '', /^[1-9]\d*[mg]$/)
      assert.ok(pids !== undefined && pids <= 1024)
    })

    test(`${name} needs no routing mesh`, () => {
      assert.equal(service.deploy.endpoint_mode, 'dnsrr')
      for (const { mode } of service.ports ?? []) assert.equal(mode, 'host')
    })
  }

  test('an update starts the new container first and goes back when it fails', () => {
    const { order, parallelism, failure_action } = app.deploy.update_config
    assert.deepEqual([order, parallelism, failure_action], ['start-first', 1, 'rollback'])
    assert.equal(app.ports, undefined, 'a port of the machine would keep the new container from starting')
  })

  test('the proxy leaves a container before it closes its port, and Docker kills it after it drained', () => {
    const lameDuckMs = defaultOf(app.environment?.LAME_DUCK)
    const cfg = readFileSync('deploy/proxies/haproxy-containers.cfg', 'utf8')
    const [, inter, fastinter] = /check inter (\d+)ms fastinter (\d+)ms fall 2 /.exec(cfg) ?? []
    assert.ok(lameDuckMs > 2 * (Number(inter) + Number(fastinter)))
    const drainMs = defaultOf(app.environment?.DRAIN_TIMEOUT)
    for (const one of [app, proxy]) assert.ok(seconds(one.stop_grace_period) * 1000 > lameDuckMs + drainMs + 2000)
  })

  test('sets variables that exist, and has the images of docker-compose.yml', () => {
    for (const name of Object.keys(app.environment ?? {})) assert.ok(name in environmentSchema.properties, name)
    const servicesOf = (file: string) => parse(readFileSync(file, 'utf8'), { logLevel: 'silent' }).services
    const files = ['docker-compose.yml', 'deploy/compose/scaled.yml']
    const compose: Record<string, Service> = Object.assign({}, ...files.map(servicesOf))
    for (const name of ['proxy', 'redis']) assert.equal(services[name]!.image, compose[name]!.image)
    assert.equal(app.environment?.TRUST_PROXY, compose.app!.environment?.TRUST_PROXY)
  })
})
