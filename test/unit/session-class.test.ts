import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adaptSessionClass, createSession, withSnapshot } from '../../src/state/sessions/session-class.ts'
import { SessionSnapshot, snapshotOf } from '../../src/state/sessions/session-snapshot.ts'

/** The private parts of @fastify/session that muster relies on: this test fails when a new version changes them. */
test('the Session class of @fastify/session takes snapshots and compares with them', () => {
  adaptSessionClass()
  adaptSessionClass()
  const snapshot = new SessionSnapshot('{"name":"ada"}', { data: { name: 'ada' }, createdAt: 7, version: 1 }, true)
  const session = createSession(withSnapshot({ name: 'ada', createdAt: 7 }, snapshot))
  assert.equal(snapshotOf(session), snapshot)
  assert.deepEqual(Object.keys(session).sort(), ['cookie', 'createdAt', 'name'])
  assert.equal(session.isModified(), false)
  session.name = 'grace'
  assert.equal(session.isModified(), true)
})

test('a handler cannot replace the snapshot', () => {
  adaptSessionClass()
  const snapshot = new SessionSnapshot('{}', { data: {}, createdAt: 7, version: 1 }, true)
  const session = createSession(withSnapshot({}, snapshot))
  Object.assign(session, { _snapshot: { stored: 'forged' } })
  assert.equal(snapshotOf(session), snapshot)
})
