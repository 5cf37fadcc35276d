import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TransferAction, transferStep } from '../../src/ipc/transfer-protocol.ts'
import { changed, explore as exploreFrom } from '../helpers/explore.ts'
import { actOld, arrivals, deaths, type Message, send, type TransferWorld, use } from '../helpers/transfer-world.ts'

type Name = 'old' | 'primary' | 'new0' | 'new1'
interface World extends TransferWorld<Name> {
  primary: 'none' | 'waiting' | 'passed-on' | 'done'
  target: Name | undefined
  fresh: Record<'new0' | 'new1', 'none' | 'received' | 'sent' | 'done'>
}

/** Which process learns of the death of another one. */
const TOLD: Partial<Record<Name, Name>> = { primary: 'old', new0: 'primary', new1: 'primary' }
const NEW = ['new0', 'new1'] as const
const START: World = {
  alive: { old: true, primary: true, new0: true, new1: true },
  holds: { old: true, primary: false, new0: false, new1: false },
  uses: undefined,
  used: undefined,
  old: 'offered',
  primary: 'none',
  target: undefined,
  fresh: { new0: 'none', new1: 'none' },
  messages: [{ from: 'old', to: 'primary', kind: 'transfer' }],
  deaths: 0
}

function actPrimary(world: World, action: TransferAction): void {
  if (action === 'wait') {
    world.primary = 'waiting'
    world.target = undefined
  } else {
    world.primary = 'done'
    world.holds.primary = false
    send(world, { from: 'primary', to: 'old', kind: action === 'refuse' ? 'refused' : 'accepted' })
  }
}

function receive(world: World, { from, to, kind }: Message<Name>): void {
  if (kind === 'transfer') {
    world.primary = 'waiting'
    world.holds.primary = true
  } else if (kind === 'connection') {
    world.fresh[to as 'new0'] = 'received'
    world.holds[to] = true
  } else if (to === 'old') actOld(world, kind === 'died' ? 'primary-died' : (kind as 'accepted'))
  else if (to === 'primary' && world.primary === 'passed-on' && world.target === from) {
    if (kind === 'accepted') actPrimary(world, transferStep('primary', 'passed-on', 'accepted').action)
    if (kind === 'died') actPrimary(world, transferStep('primary', 'passed-on', 'new-died').action)
  }
}

/** Every next moment, without deaths. */
function* steps(world: World): Generator<World> {
  yield* arrivals(world, receive)
  if (world.alive.primary && world.primary === 'waiting') {
    const living = NEW.filter((name) => world.alive[name])
    for (const name of living) {
      yield changed(world, (next) => {
        next.primary = transferStep('primary', 'waiting', 'worker-chosen').to
        next.target = name
        send(next, { from: 'primary', to: name, kind: 'connection' })
      })
    }
    if (living.length === 0) {
      yield changed(world, (next) => actPrimary(next, transferStep('primary', 'waiting', 'no-worker').action))
    }
  }
  for (const name of NEW) {
    if (!world.alive[name] || !['received', 'sent'].includes(world.fresh[name])) continue
    yield changed(world, (next) => serve(next, name))
  }
}

function serve(world: World, name: 'new0' | 'new1'): void {
  if (world.fresh[name] === 'received' && world.alive.primary) {
    send(world, { from: name, to: 'primary', kind: 'accepted' })
    world.fresh[name] = 'sent'
    return
  }
  const event = world.fresh[name] === 'sent' ? 'accepted-sent' : 'not-sent'
  world.fresh[name] = 'done'
  if (transferStep('new', 'received', event).action === 'serve') use(world, name)
  else world.holds[name] = false
}

const explore = (maxDeaths: number) =>
  exploreFrom(START, {
    steps,
    interventions: (world) => (world.deaths < maxDeaths ? deaths<Name, World>(world, TOLD) : [])
  })

test('without a death, exactly one new worker uses a connection that is transferred', () => {
  const ends = explore(0)
  assert.ok(ends.length > 0)
  for (const { uses, holds } of ends) {
    assert.ok(uses === 'new0' || uses === 'new1')
    assert.deepEqual(holds, { old: false, primary: false, new0: uses === 'new0', new1: uses === 'new1' })
  }
})

test('in any order of deaths, at most one process uses the connection, and none that lives keeps a descriptor that it does not use', () => {
  const ends = explore(3)
  assert.ok(ends.length > 50, `${ends.length} ends`)
  for (const { uses, holds } of ends) {
    for (const name of Object.keys(holds) as Name[]) assert.equal(holds[name], uses === name, name)
  }
})

test('a connection survives the death of a new worker that has not taken it, and of the old one after it has sent it', () => {
  for (const world of explore(1)) {
    const { alive, used } = world
    if (!alive.primary || used !== undefined) continue
    // No process has used it: it ended with the worker that had accepted it.
    assert.ok(NEW.some((name) => !alive[name]) || !alive.old, JSON.stringify(world))
  }
})

test('an old worker takes its connection back only where no other process can have it, and closes its copy otherwise', () => {
  for (const event of ['not-sent', 'refused'] as const) {
    assert.deepEqual(transferStep('old', 'offered', event), { to: 'done', action: 'take-back' })
  }
  for (const event of ['accepted', 'primary-died', 'late'] as const) {
    assert.deepEqual(transferStep('old', 'offered', event), { to: 'done', action: 'close' })
  }
})

test('a primary passes the connection to a worker that it has chosen, and refuses it without one', () => {
  assert.deepEqual(transferStep('primary', 'waiting', 'worker-chosen'), { to: 'passed-on', action: 'pass-on' })
  for (const event of ['no-worker', 'given-up'] as const) {
    assert.deepEqual(transferStep('primary', 'waiting', event), { to: 'done', action: 'refuse' })
  }
})

test('a primary waits for another worker if the chosen one did not get the connection', () => {
  for (const event of ['new-died', 'not-sent', 'missing'] as const) {
    assert.deepEqual(transferStep('primary', 'passed-on', event), { to: 'waiting', action: 'wait' })
  }
})

test('a primary releases its copy once a worker uses the connection or may use it', () => {
  for (const event of ['accepted', 'given-up'] as const) {
    assert.deepEqual(transferStep('primary', 'passed-on', event), { to: 'done', action: 'release' })
  }
  for (const event of ['accepted', 'new-died', 'given-up'] as const) {
    assert.deepEqual(transferStep('primary', 'taken', event), { to: 'done', action: 'release' })
  }
})

test('a primary keeps its copy while the next one looks for a worker, and refuses the connection if that finds none', () => {
  assert.deepEqual(transferStep('primary', 'passed-on', 'taken'), { to: 'taken', action: 'keep' })
  assert.deepEqual(transferStep('primary', 'taken', 'returned'), { to: 'done', action: 'refuse' })
})

test('the next primary and the new worker go on with a connection once they have said so, and close it if they cannot', () => {
  assert.deepEqual(transferStep('next', 'received', 'taken-sent'), { to: 'done', action: 'wait' })
  assert.deepEqual(transferStep('new', 'received', 'accepted-sent'), { to: 'done', action: 'serve' })
  for (const role of ['next', 'new'] as const) {
    assert.deepEqual(transferStep(role, 'received', 'not-sent'), { to: 'done', action: 'close' })
  }
})
