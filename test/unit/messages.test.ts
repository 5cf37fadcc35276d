import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isToPrimary, type ToPrimary } from '../../src/ipc/messages.ts'

const LEDGER = { total: 1, handedOver: 1, answered: 0, idle: 0, left: 0, cut: 0 }
const BROADCAST = { topic: 'news', payload: '1', deadlineMs: 1 }
const RIGHT: ToPrimary[] = [
  { type: 'ready' },
  { type: 'boot-failed', why: '' },
  { type: 'redis', up: false },
  { type: 'accepted', id: 0 },
  { type: 'transfer', id: 1, idleMs: 0.5 }
]

describe('what the primary takes from a worker', () => {
  test('every message as it is meant, and with fields that only newer code knows', () => {
    for (const message of RIGHT) {
      assert.equal(isToPrimary(message), true, JSON.stringify(message))
      assert.equal(isToPrimary({ ...message, newer: { field: 1 } } as object), true)
    }
    assert.equal(isToPrimary({ request: 'collect-metrics', args: {} }), true)
    assert.equal(isToPrimary({ request: 'drained', args: { ...LEDGER, newer: 1 } }), true)
    assert.equal(isToPrimary({ request: 'broadcast', args: BROADCAST }), true)
  })

  test('nothing that lacks a field, or has one of another type', () => {
    for (const message of RIGHT) {
      for (const field of Object.keys(message)) {
        const { [field]: value, ...without } = message as Record<string, unknown>
        const wrong = [
          undefined,
          null,
          {},
          [],
          typeof value === 'string' ? 1 : 'x',
          typeof value === 'number' ? -1 : Number.NaN
        ]
        for (const instead of wrong)
          assert.equal(isToPrimary({ ...without, [field]: instead }), false, `${message.type} ${field}`)
        assert.equal(isToPrimary(without), false, `${message.type} without ${field}`)
      }
    }
    for (const field of Object.keys(LEDGER)) {
      assert.equal(isToPrimary({ request: 'drained', args: { ...LEDGER, [field]: 'x' } }), false, field)
    }
    for (const field of Object.keys(BROADCAST)) {
      assert.equal(isToPrimary({ request: 'broadcast', args: { ...BROADCAST, [field]: {} } }), false, field)
    }
    for (const args of [undefined, null, 7, 'text', {}]) assert.equal(isToPrimary({ request: 'drained', args }), false)
  })

  test('nothing of a name that it does not know', () => {
    for (const name of ['from-the-future', 'constructor', 'toString', '__proto__', '']) {
      assert.equal(isToPrimary({ type: name }), false, name)
      assert.equal(isToPrimary({ request: name, args: {} }), false, name)
    }
  })
})
