import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { environmentSchema } from '../../src/config/environment-schema.ts'

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')
interface Service {
  user?: string
  read_only?: boolean
  tmpfs?: string[]
  cap_drop?: string[]
  cap_add?: string[]
  privileged?: boolean
  security_opt?: string[]
  mem_limit?: string
  pids_limit?: number
  ports?: string[]
  stop_grace_period?: string
  network_mode?: string
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
}
const { services } = parse(read('docker-compose.yml')) as { services: Record<string, Service> }
const { app, redis, secrets } = services as Record<'app' | 'redis' | 'secrets', Service>
/** `!reset` is a tag of Compose. */
const scaled = parse(read('deploy/compose/scaled.yml'), { logLevel: 'silent' }).services as Record<
  'app' | 'proxy',
  Service
>

describe('docker-compose.yml', () => {
  for (const [name, service] of Object.entries(services)) {
    test(`${name} has a read-only file system and no capabilities`, () => {
      assert.equal(service.read_only, true)
      assert.deepEqual([service.cap_drop, service.cap_add, service.privileged], [['ALL'], undefined, undefined])
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'])
      for (const volume of service.volumes ?? [])
        assert.doesNotMatch(volume, /^\/|docker\.sock/, 'nothing of the machine')
    })
    test(`${name} has a limit of memory and of processes`, () => {
      assert.match(service.mem_limit ?? '', /^[1-9]\d*[mg]$/)
      assert.ok(service.pids_limit !== undefined && service.pids_limit > 0 && service.pids_limit <= 1024)
    })
  }

  test('only the container that makes the password is root, and no other one reaches it', () => {
    assert.equal(redis.user, 'redis')
    assert.match(read('Dockerfile'), /^USER node$/m)
    assert.equal(app.user, undefined, 'the user is the image’s')
    assert.deepEqual([secrets.network_mode, secrets.ports], ['none', undefined])
  })

  test('every port is published on loopback unless PUBLISH_ADDRESS says otherwise', () => {
    assert.match(app.ports?.join() ?? '', /^\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}:\$\{PORT:-8080\}:8080$/)
    // A port of the machine can be published by one container only.
    assert.deepEqual([scaled.proxy.ports, scaled.app.ports], [app.ports, []])
    for (const [name, { ports = [] }] of Object.entries(services)) {
      for (const port of ports) assert.match(port, /^(127\.0\.0\.1|\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}):/, name)
    }
    for (const file of ['.env.example', 'src/cli/init/templates/shared/_env.example']) {
      assert.match(read(file), /PUBLISH_ADDRESS/, file)
    }
  })

  test('a container is left by the proxy before it closes its port, and killed after it drained', () => {
    const lameDuckMs = Number(/\$\{LAME_DUCK:-(\d+)\}/.exec(scaled.app.environment?.LAME_DUCK ?? '')?.[1])
    const check = /check inter (\d+)ms fastinter (\d+)ms fall 2 /.exec(read('deploy/proxies/haproxy-containers.cfg'))
    const [, inter, fastinter] = check ?? []
    assert.ok(lameDuckMs > 2 * (Number(inter) + Number(fastinter)), `${lameDuckMs} ms`)
    const drainMs = environmentSchema.properties.DRAIN_TIMEOUT.default
    for (const one of [app, scaled.proxy]) {
      assert.ok(Number.parseInt(one.stop_grace_period ?? '', 10) * 1000 > lameDuckMs + drainMs + 2000)
    }
  })

  test('Redis is not published and requires a password that is in no file of the project', () => {
    assert.equal(redis.ports, undefined)
    assert.ok(redis.command?.includes('/run/secrets/redis.conf'))
    assert.ok(!redis.command?.some((word) => /protected-mode|requirepass/.test(word)))
    for (const { volumes } of [app, redis]) assert.ok(volumes?.includes('secrets:/run/secrets:ro'))
    assert.equal(app.environment?.REDIS_URL_FILE, '/run/secrets/url')
    assert.match(secrets.command?.join('\n') ?? '', /-N32 .*\/dev\/urandom/)
  })

  test('the service writes only to its own tmpfs', () => {
    assert.deepEqual(app.tmpfs, ['/run/muster:uid=1000,gid=1000,mode=0700'])
    assert.equal(app.environment?.RUN_DIR, '/run/muster')
  })
})
