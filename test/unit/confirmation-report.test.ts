import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { ConfirmationReport } from '../../src/state/durability/confirmation-report.ts'
import { issuesOf } from '../helpers/config-issues.ts'

interface Line {
  msg: string
  [field: string]: unknown
}

function create() {
  const clock = { now: 0 }
  const lines: Line[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line) as Line) })
  return { clock, lines, report: new ConfirmationReport(log, 2, () => clock.now) }
}

test('too few replicas are logged once a minute with the number of failures, and their return once', () => {
  const { clock, lines, report } = create()
  const fail = () => report.unconfirmed(report.tooFew(1))
  report.confirmed()
  fail()
  fail()
  clock.now = 59_999
  fail()
  clock.now = 60_000
  fail()
  report.confirmed()
  report.confirmed()
  assert.deepEqual(
    lines.map(({ msg, confirmed, needed, failures }) => ({ msg, confirmed, needed, failures })),
    [
      { msg: 'too few Redis replicas confirm writes', confirmed: 1, needed: 2, failures: 1 },
      { msg: 'too few Redis replicas confirm writes', confirmed: 1, needed: 2, failures: 3 },
      { msg: 'Redis replicas confirm writes again', confirmed: undefined, needed: 2, failures: undefined }
    ]
  )
  assert.deepEqual(report.groups, { confirmed: 3, unconfirmed: 4 })
})

test('a lost connection leaves writes unconfirmed, and is no problem of replicas', () => {
  const { lines, report } = create()
  report.unconfirmed(new Error('Connection is closed.'))
  assert.equal(report.problem, undefined)
  assert.deepEqual(report.groups, { confirmed: 0, unconfirmed: 1 })
  assert.deepEqual(lines, [])
})

test('the error of a write with too few replicas tells clients to try again, and nothing of Redis', () => {
  const { statusCode, code, message, retryAfter } = create().report.tooFew(1)
  assert.deepEqual({ statusCode, code, retryAfter }, { statusCode: 503, code: 'TOO_FEW_REPLICAS', retryAfter: 1 })
  assert.doesNotMatch(message, /redis|replica/i)
})

for (const [environment, issue] of [
  [{ REDIS_DURABILITY: 'replicas:0', REDIS_URL: 'redis://h' }, /^REDIS_DURABILITY: must be primary.*"replicas:0"/],
  [{ REDIS_DURABILITY: 'replicas', REDIS_URL: 'redis://h' }, /^REDIS_DURABILITY: must be primary/],
  [{ REDIS_DURABILITY: 'replicas:1' }, /^REDIS_DURABILITY: the embedded Redis has no replicas: set a REDIS_URL/],
  [{ REDIS_DURABILITY: 'replicas:1', REDIS: 'off' }, /^REDIS_DURABILITY: needs Redis, and REDIS is off/]
] as const) {
  test(`${JSON.stringify(environment)} stops the start`, () => {
    const [found, ...more] = issuesOf(environment)
    assert.match(found ?? '', issue)
    assert.deepEqual(more, [])
  })
}

test('REDIS_DURABILITY is valid with one server, Sentinels and a Cluster', () => {
  for (const REDIS_URL of ['redis://h', 'unix:///redis.sock', 'redis+sentinel://h/name', 'redis+cluster://h']) {
    assert.deepEqual(issuesOf({ REDIS_URL, REDIS_DURABILITY: 'replicas:2' }), [])
  }
})
