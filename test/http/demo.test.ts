import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PrimaryClient } from '../../src/http/plugins/admin/admin-routes.ts'
import { startApp, Visitor } from '../helpers/app.ts'

const KILL = '/demo/kill'

test('without DEMO=1 visitors cannot kill a worker or reload from the page', async (t) => {
  const { app } = await startApp(t)
  const visitor = new Visitor(app)
  assert.equal((await visitor.post(KILL, { slot: 0 })).statusCode, 404)
  assert.equal((await visitor.post('/demo/reload', {})).statusCode, 404)
  assert.match((await visitor.get('/', { accept: 'text/html' })).body, /data-demo="no"/)
})

const worker = (slot: number, status = 'ready') => ({ slot, pid: 2 ** 30 + slot, generation: 1, status }) as never

test('DEMO=1 never kills the only worker that serves, and only workers of this service', async (t) => {
  const { app, view } = await startApp(t, { env: { DEMO: '1' } })
  const visitor = new Visitor(app)
  view.workers.splice(0, view.workers.length, worker(0), worker(1, 'starting'))
  const only = await visitor.post(KILL, { slot: 0 })
  assert.deepEqual([only.statusCode, only.json().code], [409, 'DEMO_NOT_NOW'])
  assert.match((await visitor.post(KILL, { slot: 1 })).json().message, /^No worker serves in slot 1: try again soon/)
  assert.equal((await visitor.post(KILL, { slot: -1 })).statusCode, 400)
  assert.equal((await visitor.post(KILL, { pid: 1 })).statusCode, 400)
})

test('DEMO=1 reloads as an operator would, by the name of the demo, and refuses pages of other sites', async (t) => {
  const asked: unknown[] = []
  const primary = {
    command: async (...args: unknown[]) => {
      asked.push(args.slice(0, 3))
      return { statusCode: 200, body: { ok: true, result: { outcome: 'done' }, acks: [], missing: [] } }
    },
    watch: () => () => {}
  } as PrimaryClient
  const { app } = await startApp(t, { env: { DEMO: '1' }, primary })
  const visitor = new Visitor(app)
  const response = await visitor.post('/demo/reload', {})
  assert.deepEqual([response.statusCode, response.json()], [200, { outcome: 'done' }])
  const [[name, args, caller]] = asked as [[string, object, { who: string; transport: string }]]
  assert.deepEqual([name, args, caller.who, caller.transport], ['reload', {}, 'a visitor of the demo', 'http'])
  const foreign = {
    method: 'POST',
    path: '/demo/reload',
    body: {},
    headers: { 'sec-fetch-site': 'cross-site' }
  } as const
  assert.equal((await visitor.request(foreign)).statusCode, 403)
  assert.equal(asked.length, 1)
})

test('all visitors of the demo together have six actions of a kind in a minute', async (t) => {
  const { app } = await startApp(t, { env: { DEMO: '1' } })
  const statuses: number[] = []
  for (let i = 0; i < 14; i++) statuses.push((await new Visitor(app).post(KILL, { slot: 7 })).statusCode)
  // At most two windows: the fourteen requests may straddle the end of a minute.
  assert.ok(statuses.filter((status) => status === 409).length <= 12, statuses.join())
  assert.ok(statuses.includes(429), statuses.join())
  const refused = await new Visitor(app).post(KILL, { slot: 7 })
  if (refused.statusCode === 429) {
    assert.match(refused.json().message, /^The demo allows 6 of these a minute/)
    assert.ok(Number(refused.headers['retry-after']) > 0)
  }
})
