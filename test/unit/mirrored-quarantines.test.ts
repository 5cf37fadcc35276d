import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { QuarantineKeeper } from '../../src/primary/quarantine/quarantine-keeper.ts'
import { restoreSnapshot, snapshotOf } from '../../src/primary/quarantine/quarantine-snapshot.ts'
import { NO_QUARANTINES, quarantine, quarantineByOperator, timeOf } from '../../src/primary/quarantine/quarantines.ts'
import { mirrorQuarantines } from '../../src/primary/upgrade/mirrored-quarantines.ts'
import type { PrimaryChannel } from '../../src/primary/upgrade/upgrade-messages.ts'
import { cleanup } from '../helpers/cleanup.ts'

const REQUEST = { method: 'GET', route: '/deadly', path: '/deadly' }
const ROUTE = { method: 'GET', path: '/deadly' }
const MS = 1000
const exited = (id: number) => ({ id, slot: 0, pid: 1e6 + id, generation: 2, died: true, hungWith: [REQUEST] })
const routesOf = (keeper: QuarantineKeeper) => keeper.list().map(({ route }) => route)

function keeperOf(t: TestContext): QuarantineKeeper {
  const runDir = mkdtempSync(join(tmpdir(), 'quarantine-'))
  cleanup(t, () => rmSync(runDir, { recursive: true }))
  const log = pino({ level: 'silent' })
  const keeper = new QuarantineKeeper({ deaths: 3, windowMs: 60_000, timeMs: MS, runDir, journal: () => {}, log })
  for (let i = 0; i < 100; i++) keeper.addSamples([[], [], [], []])
  return keeper
}

type Ends = [PrimaryChannel, PrimaryChannel]

/** Both ends of a channel, without processes. */
function channelEnds(): Ends {
  const ends = [new Map(), new Map()] as Map<string, (message: object) => void>[]
  const endOf = (own: number) => ({
    on: (type: string, listener: (message: object) => void) => void ends[own]!.set(type, listener),
    notify: async (message: { type: string }) => {
      ends[1 - own]!.get(message.type)?.(structuredClone(message))
      return true
    }
  })
  return [endOf(0), endOf(1)] as unknown as Ends
}

function pair(t: TestContext) {
  const [toFollower, toLeader] = channelEnds()
  const [leader, follower] = [keeperOf(t), keeperOf(t)]
  mirrorQuarantines(toFollower, leader)
  mirrorQuarantines(toLeader, follower)
  follower.leader = toLeader
  return { leader, follower, toFollower }
}

test('a snapshot keeps routes, times and levels, whatever the clock of the other process says', () => {
  const byDeaths = quarantine(NO_QUARANTINES, { ...ROUTE, cause: 'deaths' }, 500, MS)
  const state = quarantineByOperator(byDeaths, { method: 'POST', path: '/x' }, 600)
  const past = new Map([['GET /old', { level: 2, forgetAt: 5000 }]])
  const deaths = [{ at: 100, moment: [REQUEST] }]
  const snapshot = JSON.parse(JSON.stringify(snapshotOf({ ...state, past }, deaths, 1000)))
  const restored = restoreSnapshot(snapshot, 7, 91_000)
  assert.deepEqual(
    restored.state.entries.map(({ id, path, by, since, until }) => ({ id, path, by, since, until })),
    [
      { id: 8, path: '/deadly', by: 'deaths', since: 90_500, until: 90_500 + timeOf(0, MS) },
      { id: 9, path: '/x', by: 'operator', since: 90_600, until: Number.POSITIVE_INFINITY }
    ]
  )
  assert.deepEqual([...restored.state.past], [['GET /old', { level: 2, forgetAt: 95_000 }]])
  assert.deepEqual(restored.deaths, [{ at: 90_100, moment: [REQUEST] }])
})

test('the other primary learns what the one in charge decides, and lets no request through meanwhile', (t) => {
  const { leader, follower } = pair(t)
  const orders: number[] = []
  follower.on('change', ({ routes }) => orders.push(routes.length))
  leader.add(ROUTE)
  assert.deepEqual(routesOf(follower), ['GET /deadly'])
  const { id } = follower.orders().routes[0]!
  assert.equal(follower.grantsProbe(1, id), false)
  leader.lift(ROUTE)
  assert.deepEqual(routesOf(follower), [])
  assert.deepEqual(orders, [1, 0])
})

test('deaths of workers of both primaries accuse a route together', (t) => {
  const { leader, follower } = pair(t)
  for (let i = 1; i <= 2; i++) {
    leader.workerExited(exited(i), false)
    follower.workerExited(exited(i), false)
  }
  assert.deepEqual([routesOf(leader), routesOf(follower)], [['GET /deadly'], ['GET /deadly']])
  assert.deepEqual([leader.total, follower.total], [1, 0], 'it is counted once')
})

test('a primary that takes over judges by the deaths before as well, and the old one follows it', (t) => {
  const { leader, follower, toFollower } = pair(t)
  for (let i = 1; i <= 2; i++) leader.workerExited(exited(i), false)
  follower.leader = undefined
  leader.leader = toFollower
  assert.deepEqual(routesOf(follower), [])
  follower.workerExited(exited(3), false)
  assert.deepEqual(routesOf(follower), ['GET /deadly'])
  assert.deepEqual(routesOf(leader), ['GET /deadly'], 'the old primary follows')
})
