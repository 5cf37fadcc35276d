import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Command } from 'ioredis'
import { pino } from 'pino'
import { CommandErrors } from '../../src/state/redis/command-errors.ts'
import { startApp } from '../helpers/app.ts'
import { RedisServer } from '../helpers/redis-server.ts'

interface Line {
  level: number
  msg: string
  command?: string
  keys?: string
  cause?: string
  failures?: number
}

const WARN = 40

/** The Redis user `limited` may access every key except those of sessions. */
async function start(t: TestContext, url: (server: RedisServer) => string = ({ url }) => url) {
  const server = await RedisServer.start(t, {
    user: 'limited on >secret resetkeys ~muster:[^s]* ~{muster:[^s]* ~muster:settings ~muster:session-* allchannels +@all'
  })
  const redis = { url: url(server), client: server.client, pid: () => server.pid() }
  const lines: Line[] = []
  const env = { REDIS_TIMEOUT: '500' }
  const { app } = await startApp(t, { redis, env, onLog: (line) => void lines.push(JSON.parse(line)) })
  const warnings = () => lines.filter(({ level, msg }) => level >= WARN && msg !== 'request')
  return { app, client: server.client, warnings }
}

test('a key of another type is logged once, with its family, however many requests fail', async (t) => {
  const { app, client, warnings } = await start(t)
  await client.hset('muster:hits', 'a', 'hash')
  for (let i = 0; i < 3; i++) {
    const answers = [await app.inject({ method: 'POST', url: '/hits' }), await app.inject('/hits')]
    for (const { statusCode, body } of answers) {
      assert.equal(statusCode, 503)
      assert.doesNotMatch(body, /WRONGTYPE/)
    }
  }
  const said = warnings().map(({ msg, command, keys, cause }) => [msg, command, keys, cause?.split(' ')[0]])
  assert.deepEqual(said, [
    ['Redis command failed', 'eval', 'muster:hits', 'WRONGTYPE'],
    ['Redis command failed', 'get', 'muster:hits', 'WRONGTYPE']
  ])
})

test('a missing permission for some keys is logged with their family, and Redis does not count as away', async (t) => {
  const { app, warnings } = await start(t, ({ port }) => `redis://limited:secret@127.0.0.1:${port}`)
  assert.equal((await app.inject({ method: 'POST', url: '/hits' })).statusCode, 200)
  for (let i = 0; i < 3; i++) {
    assert.equal((await app.inject({ url: '/', headers: { cookie: 'sid=x' } })).statusCode, 503)
  }
  const ofSessions = warnings().filter(({ keys }) => keys === 'muster:session')
  assert.ok(ofSessions.length > 0, JSON.stringify(warnings()))
  for (const { msg, cause } of ofSessions) {
    assert.equal(msg, 'Redis command failed')
    assert.match(cause!, /NOPERM|No permissions/)
  }
  assert.equal(new Set(ofSessions.map(({ command }) => command)).size, ofSessions.length, 'each kind once')
  assert.deepEqual(
    warnings().filter(({ msg }) => msg.includes('away')),
    []
  )
})

test('each kind of error is logged once a minute, with the number of failures since', () => {
  const lines: Line[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) })
  const errors = new CommandErrors(log, 1000, 'muster:')
  const wrongType = Object.assign(new Error('WRONGTYPE Operation against a key'), { name: 'ReplyError' })
  const fail = (...keys: string[]) => {
    for (const key of keys) errors.record(new Command('get', [key]), wrongType)
  }
  const { now } = performance
  try {
    fail('muster:session:a', 'muster:session:b', '{muster:session:a}:visits', 'muster:user:{x}:sessions', 'other:a')
    performance.now = () => now.call(performance) + 61_000
    fail('muster:session:c')
  } finally {
    performance.now = now
  }
  assert.deepEqual(
    lines.map(({ keys, failures }) => [keys, failures]),
    [
      ['muster:session', 1],
      ['muster:user', 1],
      ['muster:session', 3]
    ]
  )
})
