import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nearestName } from '../../src/common/nearest.ts'
import type { AppOptions } from '../../src/http/app-options.ts'
import { checkServed, issuesOfAppOptions } from '../../src/http/check-app-options.ts'
import { issuesOfServerOptions, passedServerOptions } from '../../src/http/server-options.ts'

const all: Required<AppOptions> = {
  kind: 'plugin',
  sessions: false,
  securityHeaders: true,
  contentSecurityPolicy: "default-src 'self' https://cdn.example",
  crossSiteCheck: false,
  rateLimit: false,
  methodCheck: false,
  jsonDepthCheck: false,
  openapi: { title: 'Shop', version: '1.0.0', description: 'Sells things' },
  paths: {
    livez: '/internal/livez',
    readyz: false,
    healthz: '/h',
    metrics: '/m',
    openapi: '/o',
    docs: false,
    admin: '/a'
  }
}

describe('options of the app for the service', () => {
  test('are valid: all of them, none, and undefined ones', () => {
    assert.deepEqual(issuesOfAppOptions(all), [])
    assert.deepEqual(issuesOfAppOptions({}), [])
    assert.deepEqual(issuesOfAppOptions({ sessions: undefined, paths: undefined, openapi: false }), [])
    assert.deepEqual(issuesOfAppOptions({ contentSecurityPolicy: false, paths: { livez: undefined } }), [])
  })

  test('have all issues named at once, with the nearest name', () => {
    const issues = issuesOfAppOptions({
      session: false,
      crossSiteCheck: 'no',
      contentSecurityPolicy: "default-src 'self'\n",
      openapi: { titel: 'x', version: 1 },
      paths: { livez: 'livez', readyz: '/:ready', metrics: '/m*', healthz: '/', health: '/h' },
      wurst: 1
    })
    assert.deepEqual(issues, [
      'muster.session is no option: did you mean sessions?',
      'muster.crossSiteCheck must be true or false, not "no"',
      'muster.contentSecurityPolicy must be a Content-Security-Policy in one line, or false, not "default-src \'self\'\\n"',
      'muster.openapi.titel is no option: did you mean title?',
      'muster.openapi.version must be a text, not 1',
      'muster.paths.livez must be a path such as "/internal/livez", or false, not "livez"',
      'muster.paths.readyz must be a path such as "/internal/livez", or false, not "/:ready"',
      'muster.paths.metrics must be a path such as "/internal/livez", or false, not "/m*"',
      'muster.paths.healthz must be a path such as "/internal/livez", or false, not "/"',
      'muster.paths.health is no option: did you mean healthz?',
      `muster.wurst is no option: there are ${Object.keys(all).join(', ')}`
    ])
  })

  for (const value of [null, [], 'x', () => {}]) {
    test(`must be an object, not ${JSON.stringify(value) ?? 'a function'}`, () => {
      assert.match(issuesOfAppOptions(value).join(), /^muster must be an object, not /)
    })
  }

  test('give two routes of the service different paths', () => {
    assert.deepEqual(issuesOfAppOptions({ paths: { livez: '/metrics' } }), [
      'muster.paths.metrics must differ from muster.paths.livez: both are /metrics'
    ])
    assert.deepEqual(issuesOfAppOptions({ paths: { livez: '/metrics', metrics: false } }), [])
  })
})

describe('options of Fastify', () => {
  test('that cannot be honoured are refused, each with what to do instead', () => {
    const options = {
      logger: { level: 'debug' },
      trustProxy: true,
      https: { key: 'x' },
      requestTimeout: 1000,
      serverFactory: () => {},
      bodyLimit: 5
    }
    const issues = issuesOfServerOptions(options)
    const names = issues.map((issue) => /^options\.(\w+) cannot be honoured: /.exec(issue)?.[1])
    assert.deepEqual(names, ['logger', 'trustProxy', 'https', 'requestTimeout', 'serverFactory'])
    for (const remedy of [/LOG_LEVEL/, /TRUST_PROXY/, /TLS_CERT/, /REQUEST_TIMEOUT/])
      assert.match(issues.join(), remedy)
  })

  test('that change nothing are accepted, and not passed on', () => {
    const options = {
      logger: true,
      trustProxy: false,
      https: null,
      http2: false as const,
      disableRequestLogging: false
    }
    assert.deepEqual(issuesOfServerOptions(options), [])
    assert.deepEqual(passedServerOptions({ ...options, bodyLimit: 5, caseSensitive: false } as never), {
      bodyLimit: 5,
      routerOptions: { caseSensitive: false }
    })
  })
})

test('a start-up error names the issues of both kinds of options', () => {
  assert.throws(() => checkServed({ options: { sesions: true }, serverOptions: { trustProxy: true } }), {
    name: 'StartupError',
    message: /^The options of the app are invalid:\n {2}options\.trustProxy .*\n {2}muster\.sesions .* sessions\?$/
  })
})

test('the nearest name is one that differs in at most a third of its characters', () => {
  const names = ['workers', 'port', 'host']
  assert.equal(nearestName('worker', names), 'workers')
  assert.equal(nearestName('WOKRERS', names), 'workers')
  assert.equal(nearestName('prot', names), 'port')
  assert.equal(nearestName('pxxt', names), undefined, 'two of four')
  assert.equal(nearestName('ports', names), 'port')
  assert.equal(nearestName('xyz', names), undefined)
})
