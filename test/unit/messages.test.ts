import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isMessageToPrimary, type ToPrimary } from '../../src/ipc/messages.ts'

const DRAIN_STATS = { total: 1, handedOver: 1, answered: 0, idle: 0, left: 0, cut: 0 }
const BROADCAST = { topic: 'news', payload: '1', deadlineMs: 1 }
const VALID: ToPrimary[] = [
  { type: 'ready' },
  { type: 'boot-failed', why: '' },
  { type: 'redis', up: false },
  { type: 'accepted', id: 0 },
  { type: 'transfer', id: 1, idleMs: 0.5 }
]

describe('a message from a worker', () => {
  test('is accepted with its fields, and with fields that only newer code knows', () => {
    for (const message of VALID) {
      assert.equal(isMessageToPrimary(message), true, JSON.stringify(message))
      assert.equal(isMessageToPrimary({ ...message, newer: { field: 1 } } as object), true)
    }
    assert.equal(isMessageToPrimary({ request: 'collect-metrics', args: {} }), true)
    assert.equal(isMessageToPrimary({ request: 'drained', args: { ...DRAIN_STATS, newer: 1 } }), true)
    assert.equal(isMessageToPrimary({ request: 'broadcast', args: BROADCAST }), true)
  })

  test('is refused when a field is missing or has the wrong type', () => {
    for (const message of VALID) {
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
          assert.equal(isMessageToPrimary({ ...without, [field]: instead }), false, `${message.type} ${field}`)
        assert.equal(isMessageToPrimary(without), false, `${message.type} without ${field}`)
      }
    }
    for (const field of Object.keys(DRAIN_STATS)) {
      assert.equal(isMessageToPrimary({ request: 'drained', args: { ...DRAIN_STATS, [field]: 'x' } }), false, field)
    }
    for (const field of Object.keys(BROADCAST)) {
      assert.equal(isMessageToPrimary({ request: 'broadcast', args: { ...BROADCAST, [field]: {} } }), false, field)
    }
    for (const args of [undefined, null, 7, 'text', {}])
      assert.equal(isMessageToPrimary({ request: 'drained', args }), false)
  })

  test('is refused when its name is unknown', () => {
    for (const name of ['from-the-future', 'constructor', 'toString', '__proto__', '']) {
      assert.equal(isMessageToPrimary({ type: name }), false, name)
      assert.equal(isMessageToPrimary({ request: name, args: {} }), false, name)
    }
  })
})
