import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Logger, pino } from 'pino'
import { deferBindings } from '../../src/http/plugins/log/deferred-bindings.ts'

/** A logger whose children defer their bindings, the lines that it wrote, and how often a binding was serialized. */
function start(level = 'info') {
  const lines: Record<string, unknown>[] = []
  let serialized = 0
  const serializers = {
    reqId: (id: string) => {
      serialized++
      return `request ${id}`
    }
  }
  const write = (line: string) => void lines.push(JSON.parse(line))
  const base = pino({ level, base: { role: 'worker' }, timestamp: false }, { write })
  const log: Logger = base.child({}, { serializers })
  deferBindings(log)
  return { base, log, lines, serialized: () => serialized }
}

test('the bindings of a child are serialized once, when it first logs a line', () => {
  const { log, lines, serialized } = start()
  const child = log.child({ reqId: 'a' }, {})
  child.debug('not logged')
  assert.equal(child.isLevelEnabled('info'), true)
  assert.equal(serialized(), 0)
  child.info({ status: 200 }, 'done %s', 'well')
  child.warn('again')
  assert.equal(serialized(), 1)
  assert.deepEqual(lines, [
    { level: 30, role: 'worker', reqId: 'request a', status: 200, msg: 'done well' },
    { level: 40, role: 'worker', reqId: 'request a', msg: 'again' }
  ])
})

test('a child has bindings that can be read and extended, before its first line and after it', () => {
  const { log, lines } = start()
  const unused = log.child({ reqId: 'a' }, {})
  unused.setBindings({ user: 'ada' })
  assert.deepEqual(unused.bindings(), { role: 'worker', reqId: 'request a', user: 'ada' })
  unused.info('first')
  unused.setBindings({ step: 2 })
  unused.info('second')
  log.child({ reqId: 'b' }, {}).info('other')
  assert.deepEqual(lines, [
    { level: 30, role: 'worker', reqId: 'request a', user: 'ada', msg: 'first' },
    { level: 30, role: 'worker', reqId: 'request a', user: 'ada', step: 2, msg: 'second' },
    { level: 30, role: 'worker', reqId: 'request b', msg: 'other' }
  ])
})

test('children of a child have the bindings of both', () => {
  const { log, lines } = start()
  const child = log.child({ reqId: 'a' }, {})
  child.child({ user: 'ada' }).info('of a child')
  child.child({ user: 'grace' }, { level: 'debug' }).child({ step: 2 }).debug('of its child')
  child.info('of the request')
  assert.deepEqual(lines, [
    { level: 30, role: 'worker', reqId: 'request a', user: 'ada', msg: 'of a child' },
    { level: 20, role: 'worker', reqId: 'request a', user: 'grace', step: 2, msg: 'of its child' },
    { level: 30, role: 'worker', reqId: 'request a', msg: 'of the request' }
  ])
})

test('a child follows the level of its parent until it has one of its own', () => {
  const { log, lines } = start('warn')
  const child = log.child({ reqId: 'a' }, {})
  const loud = log.child({ reqId: 'b' }, { level: 'debug' })
  assert.deepEqual([child.isLevelEnabled('info'), loud.isLevelEnabled('debug')], [false, true])
  log.level = 'info'
  child.info('follows')
  child.level = 'error'
  child.warn('not logged')
  assert.deepEqual([child.level, log.level], ['error', 'info'])
  loud.debug('has its own')
  assert.deepEqual(
    lines.map(({ msg, reqId }) => [msg, reqId]),
    [
      ['follows', 'request a'],
      ['has its own', 'request b']
    ]
  )
})

test('children that an app makes have the bindings of that moment, and none without bindings', () => {
  const { log, lines } = start()
  const bindings = { step: 1 }
  const child = log.child(bindings)
  bindings.step = 2
  child.info('made before')
  assert.deepEqual(lines, [{ level: 30, role: 'worker', step: 1, msg: 'made before' }])
  assert.throws(() => log.child(undefined as never, {}), /missing bindings/)
})
