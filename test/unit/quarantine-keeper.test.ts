import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { QuarantineKeeper } from '../../src/primary/quarantine/quarantine-keeper.ts'
import { cleanup } from '../helpers/cleanup.ts'

const REQUEST = { method: 'GET', route: '/deadly', path: '/deadly' }
const worker = (id: number) => ({ id, slot: 0, pid: 1e6 + id, generation: 2, died: true, hungWith: [REQUEST] })

function keeperOf(t: TestContext): QuarantineKeeper {
  const runDir = mkdtempSync(join(tmpdir(), 'quarantine-'))
  cleanup(t, () => rmSync(runDir, { recursive: true }))
  const log = pino({ level: 'silent' })
  const keeper = new QuarantineKeeper({ deaths: 3, windowMs: 60_000, timeMs: 1000, runDir, journal: () => {}, log })
  for (let i = 0; i < 100; i++) keeper.addSamples([[], [], [], []])
  return keeper
}
const routesOf = (keeper: QuarantineKeeper) => keeper.list().map(({ route }) => route)

test('deaths of workers of a release that is being rolled out accuse no route', (t) => {
  const keeper = keeperOf(t)
  for (let id = 1; id <= 9; id++) keeper.workerExited(worker(id), true)
  assert.deepEqual(routesOf(keeper), [])
  for (let id = 11; id <= 14; id++) keeper.workerExited(worker(id), false)
  assert.deepEqual(routesOf(keeper), ['GET /deadly'])
})

test('workers trace their requests after a death that left no report', (t) => {
  const keeper = keeperOf(t)
  assert.equal(keeper.orders().traces, false)
  keeper.workerExited({ ...worker(1), hungWith: undefined }, false)
  assert.equal(keeper.orders().traces, true)
})

test('samples and reports of a worker that sends garbage are ignored', (t) => {
  const keeper = keeperOf(t)
  for (const garbage of [null, 7, 'x', [null], [[null, { method: 1 }]], [[{ method: 'GET' }]]])
    keeper.addSamples(garbage)
  assert.deepEqual(keeper.suspects(), [])
})
