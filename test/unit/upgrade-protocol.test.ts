import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  UPGRADE_PROTOCOL,
  type UpgradeEvent,
  type UpgradeState,
  upgradeStep
} from '../../src/primary/upgrade/upgrade-protocol.ts'
import { changed, explore as exploreFrom } from '../helpers/explore.ts'

type Name = 'old' | 'successor'
/** One moment of an upgrade: the state of each primary, what it has, and the messages under way. */
interface World {
  old: UpgradeState<'old'>
  successor: UpgradeState<'successor'>
  alive: Record<Name, boolean>
  /** Slots with a worker that serves, of each primary. */
  workers: Record<Name, number[]>
  /** The line of each primary: the successor is in charge of the slots below its own, the old one of those from its own on. */
  line: Record<Name, number>
  /** Which primary answers on the admin socket. */
  admin: Name
  toOld: string[]
  toSuccessor: string[]
  deaths: number
  failures: number
  /** An operator stops the service. */
  stopped: boolean
  /** The successor is about to be replaced itself. */
  superseded: boolean
}

const SLOTS = 3
const ALL = Array.from({ length: SLOTS }, (_, slot) => slot)
const START: World = {
  old: 'starting',
  successor: 'validating',
  alive: { old: true, successor: true },
  workers: { old: ALL, successor: [] },
  line: { old: 0, successor: 0 },
  admin: 'old',
  toOld: [],
  toSuccessor: [],
  deaths: 0,
  failures: 0,
  stopped: false,
  superseded: false
}

function exit(world: World, name: Name): void {
  world.alive[name] = false
  world.workers[name] = []
  if (name === 'old') world.toOld = []
  else world.toSuccessor = []
  // What it sent before arrives first.
  if (name === 'old' && world.alive.successor) world.toSuccessor.push('died')
  if (name === 'successor' && world.alive.old) world.toOld.push('died')
}

function stepOld(world: World, event: UpgradeEvent<'old'>): void {
  const step = upgradeStep('old', world.old, event)
  assert.ok(step || world.old === 'alone' || world.old === 'gone', `old does not expect ${event} when ${world.old}`)
  if (!step) return
  world.old = step.to
  switch (step.action) {
    case 'open':
    case 'commit':
    case 'end':
      world.toSuccessor.push(step.action)
      return
    case 'return':
      world.toSuccessor.push('return')
      return
    case 'retire':
      world.line.old++
      return
    case 'retire-all':
      world.line.old = SLOTS
      return
    case 'restore':
      if (world.line.old === 0) stepOld(world, 'all-restored')
      else world.line.old--
      return
    case 'kill':
      exit(world, 'successor')
      return
    case 'take-back':
      world.line.old = 0
      world.admin = 'old'
      return
    case 'drain':
      world.workers.old = []
      exit(world, 'old')
      return
    case 'exit':
      exit(world, 'old')
  }
}

function stepSuccessor(world: World, event: UpgradeEvent<'successor'>): void {
  const step = upgradeStep('successor', world.successor, event)
  assert.ok(step || world.successor === 'gone', `the successor does not expect ${event} when ${world.successor}`)
  if (!step) return
  const isCommitted = event === 'commit'
  world.successor = step.to
  switch (step.action) {
    case 'tell-prepared':
      world.toOld.push('prepared')
      return
    case 'open-slot':
      world.line.successor++
      return
    case 'tell-ready':
      world.toOld.push(world.line.successor === SLOTS ? 'all-ready' : 'ready')
      return
    case 'tell-failed':
      world.toOld.push('failed')
      return
    case 'take-over':
      world.line.successor = SLOTS
      world.admin = 'successor'
      if (isCommitted) world.toOld.push('committed')
      return
    case 'release':
      world.line.successor--
      return
    case 'tell-released':
      world.toOld.push('released')
      return
    case 'refuse':
      world.toOld.push('refused')
      exit(world, 'successor')
      return
    case 'exit':
      exit(world, 'successor')
  }
}

type Change = (world: World) => void

/** What can happen next by itself: a message arrives, a worker is ready, a worker has left, a configuration turns out valid. */
function* changes(world: World): Generator<Change> {
  const { alive, old, successor, line, workers } = world
  if (alive.old && world.toOld.length > 0) yield (next) => stepOld(next, next.toOld.shift() as UpgradeEvent<'old'>)
  if (alive.successor && world.toSuccessor.length > 0) {
    yield (next) => stepSuccessor(next, next.toSuccessor.shift() as UpgradeEvent<'successor'>)
  }
  if (alive.successor && (successor === 'validating' || successor === 'alone')) {
    yield (next) => stepSuccessor(next, 'valid')
    if (world.failures === 0) yield (next) => failing(next, () => stepSuccessor(next, 'invalid'))
  }
  for (const slot of ALL) yield* workerChanges(world, slot)
  if (alive.old && old === 'leaving' && !workers.old.includes(line.old - 1)) yield (next) => stepOld(next, 'left')
  if (alive.old && (old === 'retiring' || old === 'superseded') && workers.old.length === 0)
    yield (next) => stepOld(next, 'empty')
  if (alive.old && old === 'restoring' && workers.old.includes(line.old)) yield (next) => stepOld(next, 'restored')
  const top = line.successor - 1
  if (alive.successor && successor === 'booting' && workers.successor.includes(top)) {
    yield (next) => stepSuccessor(next, 'booted')
  }
  if (alive.successor && successor === 'releasing' && !workers.successor.includes(line.successor)) {
    yield (next) => stepSuccessor(next, 'released')
  }
}

function* workerChanges({ alive, line, workers, successor, failures }: World, slot: number): Generator<Change> {
  const wanted = { old: slot >= line.old, successor: slot < line.successor }
  for (const name of ['old', 'successor'] as const) {
    if (!alive[name]) continue
    const serves = workers[name].includes(slot)
    const mayFork = name === 'old' || !['failing', 'releasing'].includes(successor)
    if (wanted[name] && !serves && mayFork) yield (next) => void next.workers[name].push(slot)
    if (!wanted[name] && serves) yield (next) => remove(next, name, slot)
  }
  // A worker of the successor does not boot, or crashes.
  if (!alive.successor || !wanted.successor || failures > 0) return
  if (['booting', 'waiting'].includes(successor)) {
    yield (next) =>
      failing(next, () => {
        remove(next, 'successor', slot)
        stepSuccessor(next, 'failed')
      })
  }
}

function failing(world: World, change: () => void): void {
  world.failures++
  change()
}

function remove(world: World, name: Name, slot: number): void {
  world.workers[name] = world.workers[name].filter((other) => other !== slot)
}

interface Outside {
  stops?: boolean
  supersedes?: boolean
}

/** What comes from outside: SIGKILL of either primary, a deadline, a stop, and the replacement of the successor. */
function* interventions(world: World, maxDeaths: number, { stops, supersedes }: Outside): Generator<Change> {
  for (const name of ['old', 'successor'] as const) {
    if (!world.alive[name] || world.deaths >= maxDeaths) continue
    yield (next) => {
      next.deaths++
      exit(next, name)
    }
  }
  if (world.alive.old && world.alive.successor && world.deaths < maxDeaths && upgradeStep('old', world.old, 'late')) {
    yield (next) => {
      next.deaths++
      stepOld(next, 'late')
    }
  }
  if (stops && world.alive.old && !world.stopped && upgradeStep('old', world.old, 'stop')) {
    yield (next) => {
      next.stopped = true
      stepOld(next, 'stop')
    }
  }
  if (supersedes && world.alive.old && world.alive.successor && world.successor === 'serving' && !world.superseded) {
    yield (next) => {
      next.superseded = true
      next.toOld.push('superseded')
    }
  }
}

function explore(maxDeaths: number, outside: Outside = {}, visit?: (world: World) => void): World[] {
  const sorted = ({ old, successor }: World['workers']) => ({ old: old.toSorted(), new: successor.toSorted() })
  const after = (world: World, all: Iterable<Change>) => [...all].map((change) => changed(world, change))
  return exploreFrom(START, {
    steps: (world) => after(world, changes(world)),
    interventions: (world) => after(world, interventions(world, maxDeaths, outside)),
    keyOf: (world) => JSON.stringify({ ...world, workers: sorted(world.workers) }),
    ...(visit && { visit })
  })
}

const describe = (world: World) => JSON.stringify(world)

test('an upgrade without a failure ends with the successor in charge and the old primary gone', () => {
  const ends = explore(0).filter(({ failures }) => failures === 0)
  assert.ok(ends.length > 0)
  for (const world of ends) {
    assert.deepEqual([world.old, world.successor, world.admin], ['gone', 'serving', 'successor'], describe(world))
    assert.deepEqual(world.workers.successor.toSorted(), ALL)
  }
})

test('while no process dies and no worker crashes, every slot has a worker at every moment', () => {
  let moments = 0
  explore(0, {}, (world) => {
    if (world.failures > 0) return
    moments++
    const served = new Set([...world.workers.old, ...world.workers.successor])
    assert.equal(served.size, SLOTS, describe(world))
  })
  assert.ok(moments > 20, `${moments} moments`)
})

test('after a failure, the old primary is in charge again, or the successor is, and the other one is gone', () => {
  const ends = explore(0)
  const failed = ends.filter(({ failures }) => failures > 0)
  assert.ok(failed.length > 0)
  for (const world of failed) {
    assert.equal(Number(world.alive.old) + Number(world.alive.successor), 1, describe(world))
    const [name] = world.alive.old ? (['old'] as const) : (['successor'] as const)
    assert.deepEqual(world.workers[name].toSorted(), ALL, describe(world))
    assert.equal(world.admin, name, describe(world))
  }
})

test('in any order of messages and deaths, one living primary ends in charge of every slot and of the admin socket', () => {
  for (const world of explore(1)) {
    if (!world.alive.old && !world.alive.successor) {
      // One of them had ended in order, and the other one was killed then.
      assert.ok(world.deaths > 0 && (world.old === 'gone' || world.successor === 'gone'), describe(world))
      continue
    }
    assert.equal(Number(world.alive.old) + Number(world.alive.successor), 1, describe(world))
    const [name] = world.alive.old ? (['old'] as const) : (['successor'] as const)
    assert.deepEqual(world.workers[name].toSorted(), ALL, describe(world))
    assert.equal(world.admin, name, describe(world))
  }
})

test('a stop during an upgrade ends the successor, whatever the two primaries were doing', () => {
  const ends = explore(1, { stops: true }).filter(({ stopped, deaths }) => stopped && deaths === 0)
  assert.ok(ends.length > 0)
  for (const world of ends) assert.equal(world.alive.successor, false, describe(world))
})

test('an old primary whose successor is being replaced itself never takes the service back, and ends', () => {
  let moments = 0
  const ends = explore(1, { supersedes: true }, ({ old, admin }) => {
    if (old !== 'superseded') return
    moments++
    assert.equal(admin, 'successor')
  })
  assert.ok(moments > 0)
  // The successor has died before the message was sent, or it is in charge.
  for (const world of ends.filter(({ superseded }) => superseded)) {
    assert.equal(world.alive.old, false, describe(world))
    assert.equal(world.admin, 'successor', describe(world))
  }
})

test('every rule of the table is used', () => {
  const used = new Set<string>()
  const note = (world: World) => {
    for (const event of [...Object.values(world.toOld).slice(0, 1)]) used.add(`old ${world.old} ${event}`)
    for (const event of [...Object.values(world.toSuccessor).slice(0, 1)])
      used.add(`successor ${world.successor} ${event}`)
  }
  explore(2, { stops: true, supersedes: true }, note)
  const local = ['late', 'stop', 'left', 'empty', 'restored', 'all-restored', 'valid', 'invalid', 'booted', 'failed']
  const rules = Object.entries(UPGRADE_PROTOCOL).flatMap(([role, states]) =>
    Object.entries(states).flatMap(([state, events]) => Object.keys(events).map((event) => ({ role, state, event })))
  )
  const unused = rules.filter(({ role, state, event }) => {
    const isLocal = local.includes(event) && !(role === 'old' && event === 'failed')
    const isReleased = role === 'successor' && event === 'released'
    return !isLocal && !isReleased && !used.has(`${role} ${state} ${event}`)
  })
  assert.deepEqual(unused, [])
})
