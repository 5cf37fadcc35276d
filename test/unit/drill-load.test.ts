import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CookieJar } from '../../src/drill/load/cookie-jar.ts'
import { counterValues, decreases } from '../../src/drill/load/counter-values.ts'
import { NumberTally } from '../../src/drill/load/number-tally.ts'
import { objectIn, parseAnswer } from '../../src/drill/load/parse-answer.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const KNOWN_LENGTH = `${OK}content-type: application/json\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\ncontent-length: 8\r\n\r\n{"n":12}`
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`

describe('the parser of answers', () => {
  for (const [name, text, body] of [
    ['of known length', KNOWN_LENGTH, '{"n":12}'],
    ['in chunks', CHUNKED, 'abcde'],
    ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n', '']
  ] as const) {
    test(`finds an answer ${name} as soon as it is complete, and its end`, () => {
      for (let length = 0; length < text.length; length++) {
        assert.equal(parseAnswer(text.slice(0, length)), undefined, `${length} bytes`)
      }
      const parsed = parseAnswer(`${text}HTTP/1.1 200`)!
      assert.deepEqual([parsed.answer.body, parsed.end], [body, text.length])
    })
  }

  test('takes what arrives until the end of the connection when there is no length', () => {
    assert.equal(parseAnswer(`${OK}\r\nabc`), undefined)
    assert.equal(parseAnswer(`${OK}\r\nabc`, true)!.answer.body, 'abc')
  })

  test('knows the status, the headers and every cookie', () => {
    const { answer } = parseAnswer(KNOWN_LENGTH)!
    assert.deepEqual(
      [answer.status, answer.headers['content-type'], answer.cookies],
      [200, 'application/json', ['a=1; Path=/', 'b=2']]
    )
    assert.deepEqual(objectIn(answer), { n: 12 })
    assert.equal(objectIn({ ...answer, body: '{' }), undefined)
  })
})

test('a client sends the cookies that it got, without those that were deleted', () => {
  const jar = new CookieJar()
  const answer = parseAnswer(KNOWN_LENGTH)!.answer
  jar.store(answer)
  assert.equal(String(jar), 'a=1; b=2')
  const old = jar.copy()
  jar.store({ ...answer, cookies: ['a=; Max-Age=0', 'b=3'] })
  assert.deepEqual([String(jar), String(old)], ['b=3', 'a=1; b=2'])
})

describe('the tally of numbers', () => {
  const tallyOf = (numbers: number[], failed = 0) => {
    const tally = new NumberTally()
    for (const number of numbers) tally.answer(number)
    for (let i = 0; i < failed; i++) tally.failure()
    return tally.read()
  }

  test('knows nothing without an answer', () => assert.equal(tallyOf([], 1), undefined))

  test('counts from the first number to the last one, in whichever order they come', () => {
    assert.deepEqual(tallyOf([7, 5, 8], 1), { answered: 3, failed: 1, duplicates: 0, counted: 4 })
  })

  test('finds a number that was given twice', () => assert.equal(tallyOf([5, 6, 5])?.duplicates, 1))
})

describe('the counters of a metrics page', () => {
  const PAGE = `# HELP a_total A.
# TYPE a_total counter
a_total{worker="0"} 5
a_total{worker="1"} 7 1700000000
# TYPE b gauge
b{worker="0"} 9
# TYPE c histogram
c_bucket{le="0.1"} 2
c_count 3
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total{worker="0"} 1
`
  test('are those of counters and histograms that do not begin anew with each process', () => {
    assert.deepEqual(Object.fromEntries(counterValues(PAGE)), {
      'a_total{worker="0"}': 5,
      'a_total{worker="1"}': 7,
      'c_bucket{le="0.1"}': 2,
      c_count: 3
    })
  })

  test('may stay and increase, and are reported when they decrease or vanish', () => {
    const before = counterValues(PAGE)
    assert.deepEqual(
      decreases(before, counterValues(PAGE.replace('c_count 3', 'c_count 4').replace('b{worker="0"} 9', ''))),
      []
    )
    const after = counterValues(PAGE.replace('"0"} 5', '"0"} 4').replace('c_count 3\n', ''))
    assert.deepEqual(decreases(before, after), ['a_total{worker="0"}: 5, then 4', 'c_count: 3, then missing'])
  })
})
