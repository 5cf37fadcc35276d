import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { after, describe, test } from 'node:test'
import { rootCertificates } from 'node:tls'
import { usableMemory } from '../../src/config/configuration.ts'
import { usableCpus } from '../../src/config/cpu-quota.ts'
import { environmentSchema } from '../../src/config/environment-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import { issuesOf } from '../helpers/config-issues.ts'

const folder = mkdtempSync(join(tmpdir(), 'muster-config-'))
after(() => rmSync(folder, { recursive: true }))
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const SECRET = 'correct-horse-battery-staple-2026'

describe('unset variables', () => {
  test('have defaults that need nothing but Node', () => {
    const { runDir, adminSocket, cacheDir, variables, ...config } = loadConfig({})
    assert.deepEqual(config, {
      production: false,
      port: 8080,
      adminPort: undefined,
      host: '127.0.0.1',
      hosts: { heartbeatMs: 2000, takesTurns: false },
      workers: usableCpus(),
      autoscaling: { range: undefined, scaleDownMs: 60_000 },
      rebalances: true,
      scheduling: 'rr',
      reusePortLoss: 'refuse',
      listenFd: undefined,
      app: undefined,
      loader: { kind: 'node' },
      demo: false,
      admin: { controlTokens: undefined, readTokens: undefined, requestTimeoutMs: 10_000 },
      maxWorkers: 128,
      searchPath: '',
      nodeOptions: '',
      redis: {
        off: false,
        url: undefined,
        timeoutMs: 1000,
        prefix: 'muster:',
        fsync: 'everysec',
        replicas: 0,
        ca: undefined
      },
      session: { secrets: undefined, idleMs: 30 * 60_000, maxAgeMs: 12 * 3_600_000, maxBytes: 65_536 },
      metricsTokens: undefined,
      telemetry: undefined,
      tls: undefined,
      http: {
        trustProxy: undefined,
        proxyHeaders: 'x-forwarded',
        forwardedHost: 'ignore',
        proxyProtocol: undefined,
        keepAliveMs: 5000,
        headersMs: 10_000,
        requestMs: 15_000,
        sendMs: 30_000,
        sendRate: 240,
        headerBytes: 16 * 1024,
        bodyBytes: 64 * 1024,
        maxConnections: 10_000,
        maxConnectionsPerClient: 0,
        maxRequests: 0,
        maxLoopDelayMs: 1000,
        rate: { windowMs: 60_000, limit: 60_000, signInLimit: 60, exempt: ['127.0.0.0/8', '::1'] }
      },
      drainMs: 20_000,
      quarantine: { deaths: 3, windowMs: 600_000, timeMs: 30_000 },
      lameDuckMs: 0,
      limits: {
        surge: Math.max(2, Math.floor(usableCpus() / 2)),
        surgeBytes: usableMemory() * 0.75,
        bootMs: 20_000,
        canaryMs: 1000,
        heartbeatMs: 10_000,
        maxPauseMs: 30_000,
        maxMemoryBytes: 0,
        maxRequests: 0,
        maxAgeMs: 0,
        lingerMs: 3_600_000,
        maxLingering: undefined,
        maxLingeringBytes: usableMemory() / 4
      },
      systemd: { notifySocket: undefined, watchdogMs: undefined },
      canary: { share: 0.05, maxMs: 30_000, undecided: 'continue', alpha: 0.001, tolerance: 0.1 },
      logLevel: 'info',
      logFormat: 'auto'
    })
    assert.equal(runDir, resolve('.run'))
    assert.equal(adminSocket, join(runDir, 'admin.sock'))
    assert.equal(cacheDir, join(homedir(), '.cache', 'muster'))
  })

  test('are the same as empty ones', () => {
    const empty = Object.fromEntries(Object.keys(environmentSchema.properties).map((name) => [name, '']))
    assert.deepEqual(loadConfig(empty), loadConfig({}))
  })
})

describe('set variables', () => {
  test('become numbers, lists and absolute paths', () => {
    const config = loadConfig({
      PORT: '0',
      WORKERS: '3',
      SCHEDULING: 'shared',
      REDIS_URL: 'rediss://user:pass@redis.example:6380/2',
      REDIS_TIMEOUT: '250',
      REDIS_PREFIX: 'shop:',
      RUN_DIR: 'somewhere',
      SESSION_SECRET: `${SECRET}, ${SECRET}-old`,
      TRUST_PROXY: '10.0.0.0/8, ::1,fd00::/8',
      LAME_DUCK: '5000',
      LOG_LEVEL: 'silent',
      NODE_ENV: 'production',
      PATH: '/bin:/usr/bin',
      XDG_CACHE_HOME: '/var/cache'
    })
    assert.equal(config.port, 0)
    assert.equal(config.workers, 3)
    assert.equal(config.scheduling, 'shared')
    assert.deepEqual(config.redis, {
      url: 'rediss://user:pass@redis.example:6380/2',
      timeoutMs: 250,
      prefix: 'shop:',
      fsync: 'everysec',
      off: false,
      replicas: 0,
      ca: undefined
    })
    assert.equal(config.runDir, resolve('somewhere'))
    assert.deepEqual(config.session.secrets, [SECRET, `${SECRET}-old`])
    assert.deepEqual(config.http.trustProxy, ['10.0.0.0/8', '::1', 'fd00::/8'])
    assert.equal(config.lameDuckMs, 5000)
    assert.equal(config.logLevel, 'silent')
    assert.equal(config.production, true)
    assert.equal(config.searchPath, '/bin:/usr/bin')
    assert.equal(config.cacheDir, '/var/cache/muster')
  })

  test('are read from the given environment, which is not changed', () => {
    const environment = Object.freeze({ PORT: '81', SESSION_SECRET_FILE: file('kept', SECRET), OTHER: 'x' })
    assert.equal(loadConfig(environment).port, 81)
  })

  test('are frozen on every level', () => {
    const config = loadConfig({ SESSION_SECRET: SECRET, TRUST_PROXY: '10.0.0.0/8' })
    assert.ok(Object.isFrozen(config))
    const lists = { secrets: config.session.secrets, proxies: config.http.trustProxy }
    for (const [name, value] of Object.entries({ ...config, ...lists })) {
      assert.ok(Object.isFrozen(value), `${name} can be changed`)
    }
  })

  test('name APP by a path from the working directory, or by a package', () => {
    assert.equal(loadConfig({ APP: 'package.json' }).app, resolve('package.json'))
    const found = loadConfig({ APP: 'fastify-plugin' }).app
    assert.ok(found && isAbsolute(found) && found.includes('node_modules'), found)
  })
})

describe('an issue names the variable and its possible values', () => {
  const cases: [environment: Record<string, string>, issue: RegExp][] = [
    [{ PORT: 'http' }, /^PORT: must be integer, not "http"$/],
    [{ PORT: '65536' }, /^PORT: .*65535/],
    [{ PORT: '-1' }, /^PORT: .*>= 0/],
    [{ PORT: '80.5' }, /^PORT: must be integer/],
    [{ WORKERS: '0' }, /^WORKERS: .*from 1 to 999.*"0"/],
    [{ WORKERS: 'many' }, /^WORKERS: .*auto.*"many"/],
    [{ WORKERS: '1000' }, /^WORKERS: /],
    [{ SCHEDULING: 'fifo' }, /^SCHEDULING: must be one of rr, shared, reuseport, sticky, not "fifo"$/],
    [{ REUSEPORT_LOSS: 'yes' }, /^REUSEPORT_LOSS: must be one of refuse, allow, not "yes"$/],
    [{ SCHEDULING: 'reuseport', PORT: '0' }, /^PORT: 0 would give each worker another port with SCHEDULING=reuseport/],
    [{ SCHEDULING: 'reuseport', HOST: '/run/http.sock' }, /^SCHEDULING: reuseport cannot share a Unix socket/],
    [{ HOST: `/${'x'.repeat(120)}` }, /^HOST: too long for a Unix socket \(121 bytes, 10[37] at most\)/],
    [{ PORT: '9000', ADMIN_PORT: '9000' }, /^ADMIN_PORT: must differ from PORT/],
    [{ ADMIN_PORT: '70000' }, /^ADMIN_PORT: must be <= 65535, not "70000"$/],
    [{ ADMIN_HOST: '10.0.0.5' }, /^ADMIN_HOST: has no effect without ADMIN_PORT/],
    [{ ADMIN_PORT: '1', ADMIN_HOST: '/run/admin.sock' }, /^ADMIN_HOST: must be an address, not a path$/],
    [{ PROXY_PROTOCOL: 'balancer' }, /^PROXY_PROTOCOL: "balancer" is not an IP address or a CIDR range$/],
    [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL: must be one of trace, .*silent, not "loud"$/],
    [{ REDIS_URL: 'localhost:6379' }, /^REDIS_URL: .*redis:\/\/, rediss:\/\/ or unix:\/\//],
    [{ REDIS_URL: 'redis://a,b' }, /^REDIS_URL: names several hosts/],
    [{ REDIS_PREFIX: 'shop' }, /^REDIS_PREFIX: must be the text .* the last one ":", not "shop"$/],
    [{ REDIS_PREFIX: '{shop}:' }, /^REDIS_PREFIX: must be the text/],
    [{ REDIS_CA: '/no/such/ca.pem' }, /^REDIS_CA: \/no\/such\/ca\.pem contains no certificate: ENOENT/],
    [{ REDIS_CA: file('no-ca.pem', 'x'), REDIS_URL: 'rediss://a' }, /^REDIS_CA: .*no-ca\.pem contains no certificate/],
    [
      { REDIS_CA: file('ca.pem', rootCertificates[0]!), REDIS_URL: 'redis://a' },
      /^REDIS_CA: has no effect without TLS/
    ],
    [{ REDIS_TIMEOUT: '9' }, /^REDIS_TIMEOUT: .*10/],
    [{ DRAIN_TIMEOUT: '0' }, /^DRAIN_TIMEOUT: /],
    [{ BOOT_TIMEOUT: '3000000000' }, /^BOOT_TIMEOUT: .*2147483647/],
    [{ APP: 'no/such/app.js' }, /^APP: module ".*no\/such\/app\.js" not found: /],
    [{ SESSION_SECRET: 'short' }, /^SESSION_SECRET: must have 32 characters or more/],
    [{ SESSION_SECRET: `${SECRET},short` }, /^SESSION_SECRET: must have 32 characters or more/],
    [{ SESSION_SECRET: ',' }, /^SESSION_SECRET: must have 32 characters or more/],
    [{ SESSION_IDLE: '2000', SESSION_MAX_AGE: '1000' }, /^SESSION_IDLE: must not exceed SESSION_MAX_AGE$/],
    [{ HEADERS_TIMEOUT: '2000', REQUEST_TIMEOUT: '1000' }, /^HEADERS_TIMEOUT: must not exceed REQUEST_TIMEOUT$/],
    [{ TRUST_PROXY: 'true' }, /^TRUST_PROXY: "true" is not an IP address/],
    [{ TRUST_PROXY: '10.0.0.0/8,proxy.example' }, /^TRUST_PROXY: "proxy.example" is not an IP address/],
    [{ TRUST_PROXY: '10.0.0.0/33' }, /^TRUST_PROXY: "10.0.0.0\/33" is not an IP address/],
    [{ TRUST_PROXY: '10.0.0.0/8/9' }, /^TRUST_PROXY: "10.0.0.0\/8\/9" is not an IP address/],
    [{ PROXY_HEADERS: 'forwarded' }, /^PROXY_HEADERS: has no effect without TRUST_PROXY: set that too$/],
    [{ FORWARDED_HOST: 'trust' }, /^FORWARDED_HOST: has no effect without TRUST_PROXY: set that too$/],
    [{ PROXY_HEADERS: 'x-real-ip' }, /^PROXY_HEADERS: must be one of x-forwarded, forwarded/],
    // Trusting every address would let each client choose its own address.
    [{ TRUST_PROXY: '0.0.0.0/0' }, /^TRUST_PROXY: "0.0.0.0\/0" is not an IP address/],
    [{ TRUST_PROXY: '::/0' }, /^TRUST_PROXY: "::\/0" is not an IP address/],
    [{ RATE_EXEMPT: '10.0.0.0/8 localhost' }, /^RATE_EXEMPT: "localhost" is not an IP address/],
    [{ TRUST_PROXY: 'deadbeef' }, /^TRUST_PROXY: "deadbeef" is not an IP address/],
    [{ RUN_DIR: `/tmp/${'x'.repeat(100)}` }, /^RUN_DIR: too long for a Unix socket/]
  ]
  for (const [environment, issue] of cases) {
    test(JSON.stringify(environment), () => {
      const found = issuesOf(environment)
      assert.equal(found.length, 1, found.join('\n') || 'no issue')
      assert.match(found[0]!, issue)
    })
  }

  test('all issues are reported at once, whatever their kind', () => {
    const found = issuesOf({
      PORT: 'http',
      WORKERS: '0',
      LOG_LEVEL: 'loud',
      APP: 'no/such/app.js',
      SESSION_SECRET: 'short',
      SESSION_IDLE: '2000',
      SESSION_MAX_AGE: '1000',
      TRUST_PROXY: 'true',
      RUN_DIR: `/tmp/${'x'.repeat(100)}`
    })
    const names = ['APP', 'LOG_LEVEL', 'PORT', 'RUN_DIR', 'SESSION_IDLE', 'SESSION_SECRET', 'TRUST_PROXY', 'WORKERS']
    assert.deepEqual(found.map((issue) => issue.split(':', 1)[0]).sort(), names)
  })
})

describe('a secret', () => {
  test('may be in a file, without its line break', () => {
    assert.deepEqual(loadConfig({ SESSION_SECRET_FILE: file('good', `${SECRET}\n`) }).session.secrets, [SECRET])
    const url = 'redis://:hunter2@redis:6379'
    assert.equal(loadConfig({ REDIS_URL_FILE: file('url', `${url}\n`) }).redis.url, url)
  })

  test('is set directly or in a file, not both', () => {
    const found = issuesOf({ SESSION_SECRET: SECRET, SESSION_SECRET_FILE: file('second', SECRET) })
    assert.deepEqual(found, ['SESSION_SECRET: set either SESSION_SECRET or SESSION_SECRET_FILE, not both'])
  })

  test('that cannot be read stops the start with a message', () => {
    const missing = join(folder, 'missing')
    assert.match(issuesOf({ SESSION_SECRET_FILE: missing }).join('\n'), /^SESSION_SECRET_FILE: cannot be read: ENOENT/)
    assert.match(issuesOf({ SESSION_SECRET_FILE: folder }).join('\n'), /^SESSION_SECRET_FILE: cannot be read: EISDIR/)
    const empty = file('empty', '\n')
    assert.deepEqual(issuesOf({ SESSION_SECRET_FILE: empty }), [`SESSION_SECRET_FILE: ${empty} is empty`])
  })

  test('is in no message, whatever the issue is', () => {
    const wrong: Record<string, string>[] = [
      { SESSION_SECRET: 'hunter2' },
      { SESSION_SECRET: 'hunter2', PORT: 'x' },
      { SESSION_SECRET: 'hunter2', SESSION_SECRET_FILE: file('also', 'hunter2') },
      { SESSION_SECRET_FILE: file('weak', 'hunter2') },
      { REDIS_URL: 'http://user:hunter2@redis.example' },
      { REDIS_URL: 'redis://user:hunter2@redis.example/x' },
      { REDIS_URL: 'redis+sentinel://user:hunter2@redis.example' },
      { REDIS_URL: 'redis//user:hunter2@redis.example', PORT: 'x' }
    ]
    for (const environment of wrong) {
      const message = issuesOf(environment).join('\n')
      assert.notEqual(message, '')
      assert.ok(!message.includes('hunter2'), message)
    }
  })
})

test('REDIS=off contradicts REDIS_URL', () => {
  assert.deepEqual(issuesOf({ REDIS: 'off', REDIS_URL: 'redis://a' }), [
    'REDIS: off contradicts REDIS_URL: unset one of them'
  ])
  assert.equal(loadConfig({ REDIS: 'off' }).redis.off, true)
})
