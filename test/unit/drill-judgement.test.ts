import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hasFailed, judge } from '../../src/drill/judgement/judge-promises.ts'
import { FAULTS, type Observations, type Step } from '../../src/drill/observations.ts'
import { readPage } from '../helpers/documents.ts'
import { goodDrill, goodRedis, goodReload, goodWorker, withStep } from '../helpers/good-drill.ts'

const verdicts = (seen: Observations) => judge(seen).map(({ verdict }) => verdict)
const textOf = (seen: Observations, promise: number) => judge(seen)[promise - 1]!.text

/** Everything held, but for the primary, which a drill never ends. */
const ALL_HELD = ['held', 'held', 'held', 'held', 'held', 'held', 'held', 'skipped']

test('a drill judges the promises of the README, in its order and with its words', () => {
  const promises = readPage('README.md')
    .split(/^## /m)
    .find((text) => text.startsWith('Promises'))!
  const bold = [...promises.matchAll(/^(\d)\. \*\*(.+?)\*\*/gms)].map(([, number, text = '']) => {
    return { number: Number(number), text: text.replace(/\s+/g, ' ') }
  })
  assert.equal(bold.length, 8)
  for (const [i, { promise, title }] of judge(goodDrill()).entries()) {
    assert.deepEqual({ number: promise, text: title }, bold[i])
  }
})

test('a drill in which nothing was lost finds every promise held that it can try', () => {
  assert.deepEqual(verdicts(goodDrill()), ALL_HELD)
  assert.equal(hasFailed(goodDrill(), judge(goodDrill())), false)
})

const load = (change: Partial<Step['load']>) => ({
  load: { answered: 100, failed: {}, closed: 0, late: 0, slowestMs: 9, ...change }
})

const BROKEN: [what: string, promise: number, seen: Observations, text: RegExp][] = [
  [
    'a reload in which a request failed',
    1,
    withStep('reload', load({ failed: { cut: 1 } })),
    /1 of 101 requests failed \(cut: 1\)/
  ],
  [
    'a reload that closed an open connection',
    1,
    withStep('reload', load({ closed: 2 })),
    /^2 open connections were closed$/
  ],
  [
    'a lost hit',
    2,
    goodDrill({ hits: { answered: 10, failed: 1, duplicates: 0, counted: 9 } }),
    /1 of 10 hits are lost/
  ],
  [
    'a hit that was counted twice',
    2,
    goodDrill({ hits: { answered: 10, failed: 1, duplicates: 0, counted: 12 } }),
    /1 hits more/
  ],
  [
    'a number that was given twice',
    2,
    goodDrill({ hits: { answered: 10, failed: 0, duplicates: 1, counted: 10 } }),
    /given twice/
  ],
  [
    'a lost update of a session',
    3,
    goodDrill({ session: { answered: 10, failed: 0, duplicates: 0, counted: 8 } }),
    /2 of 10 updates/
  ],
  [
    'a session that came back',
    3,
    goodDrill({ session: { answered: 9, failed: 0, duplicates: 0, counted: 9, signOut: { before: 9, after: 10 } } }),
    /came back/
  ],
  [
    'a bad release that was rolled out',
    4,
    withStep('bad-release', { reload: { ...goodReload, outcome: 'done' } }),
    /ended as "done"/
  ],
  [
    'a failed reload after which the new release serves',
    4,
    withStep('bad-release', { reload: { ...bad(), after: [1, 2] } }),
    /generation 2 serves/
  ],
  [
    'a failed reload that does not say why',
    4,
    withStep('bad-release', { reload: { ...bad(), why: '' } }),
    /did not say why/
  ],
  [
    'a bad release that cost a request',
    4,
    withStep('bad-release', { reload: bad(), ...load({ failed: { cut: 1 } }) }),
    /1 of 101/
  ],
  [
    'a killed worker that was not replaced',
    5,
    withStep('kill', { worker: withoutSuccessor() }),
    /kill: the worker of slot 1 was not replaced/
  ],
  [
    'a hung worker that was not found',
    5,
    withStep('hang', { worker: withoutSuccessor() }),
    /hang: the worker of slot 1 was not replaced/
  ],
  [
    'a worker that died without memory and was not replaced',
    5,
    withStep('memory', { worker: withoutSuccessor() }),
    /memory: .*not replaced/
  ],
  [
    'a port that refused a connection',
    5,
    withStep('redis-cut', load({ failed: { refused: 1 } })),
    /refused 1 connections/
  ],
  [
    'slow clients that were kept',
    5,
    withStep('slow-clients', { slow: { clients: 20, closed: 19, limitMs: 9 } }),
    /1 of 20 were kept/
  ],
  [
    'a late scrape',
    6,
    goodDrill({ metrics: { scrapes: 9, late: 1, limitMs: 1500, slowestMs: 9, decreased: [] } }),
    /1 of 9 scrapes/
  ],
  [
    'a counter that decreased',
    6,
    goodDrill({ metrics: { scrapes: 9, late: 0, limitMs: 1500, slowestMs: 9, decreased: ['a: 2, then 1'] } }),
    /a: 2, then 1/
  ],
  [
    'a liveness that failed without Redis',
    7,
    withStep('redis-stop', { redis: { ...goodRedis, livenessFailed: 1 } }),
    /livez failed/
  ],
  [
    'a slow answer without Redis',
    7,
    withStep('redis-stop', { redis: { ...goodRedis, slow: 1, slowestMs: 1300 } }),
    /longer than 1100 ms/
  ],
  [
    'an unclear answer without Redis',
    7,
    withStep('redis-kill', { redis: { ...goodRedis, unclear: 1 } }),
    /no clear 503/
  ],
  [
    'a service that resumed late',
    7,
    withStep('redis-cut', { redis: { ...goodRedis, resumedMs: 3100 } }),
    /resumed after 3100 ms/
  ],
  ['a service that did not resume', 7, withStep('redis-cut', { redis: without(goodRedis, 'resumedMs') }), /not in 30 s/]
]

describe('a drill finds the promise broken, and no other, by', () => {
  for (const [what, promise, seen, text] of BROKEN) {
    test(what, () => {
      assert.deepEqual(verdicts(seen), ALL_HELD.with(promise - 1, 'broken'))
      assert.match(textOf(seen, promise), text)
      assert.equal(hasFailed(seen, judge(seen)), true)
    })
  }
})

const HELD: [what: string, seen: Observations][] = [
  ['requests in flight at a killed worker fail', withStep('kill', load({ failed: { cut: 5 } }))],
  ['a worker lives on without more memory', withStep('memory', { worker: { slot: 1, limitMs: 9, mustEnd: false } })],
  ['a busy service answers with 503 after a fault', withStep('stop', load({ failed: { 'status 503': 1 } }))],
  ['a failed request was counted', goodDrill({ hits: { answered: 10, failed: 1, duplicates: 0, counted: 11 } })],
  [
    'TLS closes connections in a reload',
    {
      ...withStep('reload', load({ closed: 2 })),
      service: { ...goodDrill().service, isSecure: true }
    }
  ]
]

describe('a promise holds although', () => {
  for (const [what, seen] of HELD) {
    test(what, () => assert.deepEqual(verdicts(seen), ALL_HELD))
  }
})

describe('a promise is skipped, with the reason, when', () => {
  test('its faults were not tried', () => {
    const steps = FAULTS.map((fault): Step => ({ ...goodDrill().steps[0]!, fault, skipped: 'no time' }))
    const seen = goodDrill({ steps, hits: 'no hits', session: 'no session', metrics: 'no metrics' })
    assert.deepEqual(new Set(verdicts(seen)), new Set(['skipped']))
    assert.equal(textOf(seen, 1), 'reload: no time')
    assert.equal(textOf(seen, 2), 'no hits')
  })

  test('its faults were not asked for', () => {
    assert.equal(textOf(goodDrill({ steps: [] }), 1), 'its faults were not asked for')
  })

  test('the reload failed without a loss', () => {
    const seen = withStep('reload', { reload: { ...goodReload, outcome: 'failed', why: 'the app does not boot' } })
    assert.deepEqual(verdicts(seen), ALL_HELD.with(0, 'skipped'))
    assert.match(textOf(seen, 1), /the reload ended as "failed": the app does not boot/)
  })

  test('only a part of it could not be tried: the other parts still count', () => {
    const seen = withStep('hang', { skipped: 'HEARTBEAT_TIMEOUT is off' })
    assert.deepEqual(verdicts(seen), ALL_HELD)
    assert.ok(judge(seen)[4]!.findings.some(({ text }) => text === 'hang: HEARTBEAT_TIMEOUT is off'))
  })
})

test('a service that is not as it was before is a failure, although every promise holds', () => {
  const seen = goodDrill({ differences: ['2 workers were wanted, now 3'] })
  assert.deepEqual(verdicts(seen), ALL_HELD)
  assert.equal(hasFailed(seen, judge(seen)), true)
})

function bad() {
  return { outcome: 'failed', why: 'the worker crashed', before: [1, 1], after: [1, 1] }
}

function withoutSuccessor() {
  return without(goodWorker, 'replacedMs')
}

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _, ...others } = value
  return others
}
