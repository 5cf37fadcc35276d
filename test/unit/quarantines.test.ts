import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  findQuarantine,
  grantProbe,
  lift,
  liftLongProbes,
  NO_QUARANTINES,
  nextChange,
  probeAnswered,
  probeNow,
  probeUnknown,
  type Quarantines,
  quarantine,
  quarantineByOperator,
  workerExited
} from '../../src/primary/quarantine/quarantines.ts'

const TIME = 1000
const ROUTE = { method: 'POST', path: '/todos' }
const quarantined = (now = 0, state = NO_QUARANTINES) => quarantine(state, { ...ROUTE, cause: 'test' }, now, TIME)
const entryOf = (state: Quarantines) => findQuarantine(state, ROUTE)!
const probing = (now: number, state = quarantined()) => grantProbe(state, entryOf(state).id, 7, now)!

describe('a quarantined route', () => {
  test('is refused for the whole time, then a single request is let through', () => {
    const state = quarantined()
    assert.equal(grantProbe(state, entryOf(state).id, 7, TIME - 1), undefined)
    const granted = probing(TIME)
    assert.equal(entryOf(granted).probe?.worker, 7)
    assert.equal(grantProbe(granted, entryOf(granted).id, 8, TIME), undefined)
  })

  test('is served again when the request that was let through is answered', () => {
    const state = probing(TIME)
    assert.equal(entryOf(probeAnswered(state, 1, 7, TIME, TIME)), undefined)
    assert.equal(probeAnswered(state, 1, 8, TIME, TIME), state, 'another worker has no say')
  })

  test('stays quarantined for twice the time when that request ends its worker', () => {
    let state = quarantined()
    for (const factor of [2, 4, 8, 16, 32, 64, 64]) {
      const now = entryOf(state).until
      state = workerExited(probing(now, state), { worker: 7, died: true }, now, TIME)
      assert.equal(entryOf(state).until - now, factor * TIME)
      assert.equal(entryOf(state).probe, undefined)
    }
  })

  test('lets another request through when the client of the first one left, or its worker was replaced', () => {
    const left = probeUnknown(probing(TIME), 1, 7)
    assert.ok(grantProbe(left, 1, 8, TIME))
    const replaced = workerExited(probing(TIME), { worker: 7, died: false }, TIME, TIME)
    assert.ok(grantProbe(replaced, 1, 8, TIME))
  })

  test('is served again when the request that was let through goes on for the time of a quarantine', () => {
    const state = probing(TIME)
    assert.equal(nextChange(state, TIME, TIME), 2 * TIME)
    assert.equal(liftLongProbes(state, 2 * TIME - 1, TIME), state)
    assert.equal(entryOf(liftLongProbes(state, 2 * TIME, TIME)), undefined)
  })

  test('is quarantined for twice the time when it ends workers after it was served again', () => {
    const served = probeAnswered(probing(TIME), 1, 7, TIME, TIME)
    assert.equal(entryOf(quarantined(TIME, served)).until, 3 * TIME)
    const muchLater = 1000 * TIME
    assert.equal(entryOf(quarantined(muchLater, served)).until, muchLater + TIME)
  })

  test('is judged afresh after an operator has lifted it', () => {
    const served = lift(probeAnswered(probing(TIME), 1, 7, TIME, TIME), ROUTE)
    assert.equal(entryOf(quarantined(TIME, served)).until, 2 * TIME)
  })

  test('gets its next request at once when new code serves', () => {
    assert.ok(grantProbe(probeNow(quarantined(), 5), 1, 7, 5))
  })
})

test('a route that an operator quarantined is refused until it is lifted', () => {
  const state = quarantineByOperator(quarantined(), ROUTE, 0)
  assert.equal(state.entries.length, 1)
  assert.equal(grantProbe(probeNow(state, 1), entryOf(state).id, 7, Number.MAX_SAFE_INTEGER), undefined)
  assert.equal(entryOf(lift(state, ROUTE)), undefined)
})
