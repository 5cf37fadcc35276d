import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { type RequestLogger, withLazyChildren } from '../../src/http/plugins/log/lazy-child-logger.ts'

/** A logger whose children are late, and the lines that were written. */
function start(level: string) {
  const lines: Record<string, unknown>[] = []
  const made: object[] = []
  const base = pino(
    { level, base: null, timestamp: false, onChild: (child) => made.push(child) },
    { write: (line: string) => void lines.push(JSON.parse(line)) }
  )
  return { base, log: withLazyChildren(base), lines, made }
}

test('a child that says nothing is never made; one that does is what pino makes', () => {
  const { log, lines, made } = start('info')
  const quiet = log.child({ reqId: 'a' }) as unknown as RequestLogger
  assert.equal(quiet.isLevelEnabled('info'), true)
  assert.equal(quiet.isLevelEnabled('debug'), false)
  assert.equal(made.length, 0)
  const child = log.child({ reqId: 'b' }) as unknown as RequestLogger
  child.info({ status: 200 }, 'done %s', 'well')
  child.debug('not this')
  child.child({ user: 'ada' }).warn('of a child')
  assert.deepEqual(lines, [
    { level: 30, reqId: 'b', status: 200, msg: 'done well' },
    { level: 40, reqId: 'b', user: 'ada', msg: 'of a child' }
  ])
  assert.deepEqual(child.bindings(), { reqId: 'b' })
})

test('a level that changes holds for children that are not made yet, and a level of their own is theirs', () => {
  const { base, log, lines } = start('warn')
  const child = log.child({ reqId: 'a' }) as unknown as RequestLogger
  const loud = log.child({ reqId: 'b' }, { level: 'debug' }) as unknown as RequestLogger
  assert.deepEqual([child.isLevelEnabled('info'), loud.isLevelEnabled('debug')], [false, true])
  base.level = 'info'
  log.info('of the app')
  child.info('of a request')
  child.level = 'error'
  child.warn('no more')
  assert.equal(child.level, 'error')
  loud.debug('of its own')
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['of the app', 'of a request', 'of its own']
  )
})
