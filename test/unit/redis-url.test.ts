import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseRedisUrl, type RedisTarget } from '../../src/config/redis-url.ts'

const node = (host: string, port: number) => ({ host, port })

describe('a valid REDIS_URL is parsed', () => {
  const forms: [url: string, target: RedisTarget][] = [
    ['unix:///run/redis.sock', { kind: 'socket', path: '/run/redis.sock' }],
    ['redis://a', { kind: 'server', ...node('a', 6379), db: 0, tls: false }],
    ['redis://a/', { kind: 'server', ...node('a', 6379), db: 0, tls: false }],
    ['redis://[::1]:7000/3', { kind: 'server', ...node('::1', 7000), db: 3, tls: false }],
    [
      'rediss://us%40er:p%2Fw%3A%40@redis.example:6380/2',
      {
        kind: 'server',
        ...node('redis.example', 6380),
        db: 2,
        tls: true,
        username: 'us@er',
        password: 'p/w:@'
      }
    ],
    ['redis://:secret@a', { kind: 'server', ...node('a', 6379), db: 0, tls: false, password: 'secret' }],
    ['redis://:se:cret@a', { kind: 'server', ...node('a', 6379), db: 0, tls: false, password: 'se:cret' }],
    [
      'redis+sentinel://a,b:26380,[fd00::1]/mymaster',
      {
        kind: 'sentinel',
        sentinels: [node('a', 26379), node('b', 26380), node('fd00::1', 26379)],
        name: 'mymaster',
        db: 0,
        tls: false
      }
    ],
    [
      'rediss+sentinel://u:p@a:1/my%20primary/4?sentinelUsername=s&sentinelPassword=t%26',
      {
        kind: 'sentinel',
        sentinels: [node('a', 1)],
        name: 'my primary',
        db: 4,
        tls: true,
        username: 'u',
        password: 'p',
        sentinelUsername: 's',
        sentinelPassword: 't&'
      }
    ],
    ['redis+cluster://a,b:7001', { kind: 'cluster', nodes: [node('a', 6379), node('b', 7001)], tls: false }],
    ['rediss+cluster://u:p@a/', { kind: 'cluster', nodes: [node('a', 6379)], tls: true, username: 'u', password: 'p' }]
  ]
  for (const [url, target] of forms) test(url, () => assert.deepEqual(parseRedisUrl(url), target))
})

describe('an invalid REDIS_URL is refused, and no part of it is shown', () => {
  const cases: [url: string, issue: RegExp][] = [
    ['localhost:6379', /^must be redis:\/\//],
    ['http://u:hunter2@a', /^must be redis:\/\//],
    ['redis://', /^must be redis:\/\//],
    ['redis:///2', /^must be redis:\/\//],
    ['unix://', /^must be redis:\/\//],
    ['redis://u:hunter2@2@a', /^must be .* percent-encoded/],
    ['redis://u:hunter2#@a', /^must be .* percent-encoded/],
    ['redis+sentinels://a/b', /^must be redis:\/\//],
    ['redis://u:hunter2%zz@a', /percent-encoding/],
    ['redis://hunter2@a', /user without a password/],
    ['redis://a:hunter2', /invalid host or port/],
    ['redis://a b', /invalid host/],
    ['redis://[hunter2]', /invalid host/],
    ['redis://a:0', /port/],
    ['redis://a:65536', /port/],
    ['redis://a/hunter2', /not a database number/],
    ['redis://a/1/2', /not a database number/],
    ['redis://a?hunter2=1', /no \?options/],
    ['redis://a,b', /several hosts: .*sentinel.*cluster/],
    ['redis+sentinel://a', /must name the primary/],
    ['redis+sentinel://a/?x=1', /must name the primary/],
    ['redis+sentinel://a,,b/m', /invalid host/],
    ['redis+sentinel://a/m/hunter2', /not a database number/],
    ['redis+sentinel://a/m?hunter2=1', /an unknown option/],
    ['redis+sentinel://a/m?sentinelUsername=hunter2', /without a sentinelPassword/],
    ['redis+cluster://a/1', /Cluster has only number 0/],
    ['redis+cluster://a?x=1', /no \?options/]
  ]
  for (const [url, issue] of cases) {
    test(url, () => {
      assert.throws(
        () => parseRedisUrl(url),
        (error: Error) => issue.test(error.message) && !error.message.includes('hunter2')
      )
    })
  }
})
