import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TransferAction, transferStep } from '../../src/ipc/transfer-protocol.ts'
import { changed, explore as exploreFrom } from '../helpers/explore.ts'
import { actOld, arrivals, deaths, type Message, send, type TransferWorld, use } from '../helpers/transfer-world.ts'

type Name = 'old' | 'first' | 'next' | 'new0' | 'new1'
/** The connection goes from a worker of the first primary to a worker of the next one. */
interface World extends TransferWorld<Name> {
  first: 'none' | 'waiting' | 'passed-on' | 'taken' | 'done'
  next: 'none' | 'received' | 'waiting' | 'passed-on' | 'done'
  target: Name | undefined
  workers: Record<'new0' | 'new1', 'none' | 'received' | 'sent' | 'done'>
}

const NEW = ['new0', 'new1'] as const
/** Which process learns of the death of another one. */
const TOLD: Partial<Record<Name, Name>> = { first: 'old', next: 'first', new0: 'next', new1: 'next' }
const START: World = {
  alive: { old: true, first: true, next: true, new0: true, new1: true },
  holds: { old: true, first: false, next: false, new0: false, new1: false },
  uses: undefined,
  used: undefined,
  old: 'offered',
  first: 'none',
  next: 'none',
  target: undefined,
  workers: { new0: 'none', new1: 'none' },
  messages: [{ from: 'old', to: 'first', kind: 'transfer' }],
  deaths: 0
}

/** @param name the primary that acts @param above the process that it answers */
function actPrimary(world: World, name: 'first' | 'next', above: Name, action: TransferAction): void {
  if (action === 'keep') {
    world.first = 'taken'
  } else if (action === 'wait') {
    world[name] = 'waiting'
    if (name === 'next') world.target = undefined
  } else {
    world[name] = 'done'
    world.holds[name] = false
    send(world, { from: name, to: above, kind: action === 'refuse' ? 'refused' : 'accepted' })
  }
}

function receiveAtFirst(world: World, kind: Message<Name>['kind']): void {
  const act = (action: TransferAction) => actPrimary(world, 'first', 'old', action)
  if (world.first === 'passed-on') {
    if (kind === 'taken') act(transferStep('primary', 'passed-on', 'taken').action)
    if (kind === 'died') act(transferStep('primary', 'passed-on', 'new-died').action)
  } else if (world.first === 'taken') {
    if (kind === 'accepted') act(transferStep('primary', 'taken', 'accepted').action)
    if (kind === 'refused') act(transferStep('primary', 'taken', 'returned').action)
    if (kind === 'died') act(transferStep('primary', 'taken', 'new-died').action)
  }
}

function receive(world: World, { from, to, kind }: Message<Name>): void {
  if (kind === 'transfer') {
    world.first = 'waiting'
    world.holds.first = true
  } else if (kind === 'connection') {
    world.holds[to] = true
    if (to === 'next') world.next = 'received'
    else world.workers[to as 'new0'] = 'received'
  } else if (to === 'old') actOld(world, kind === 'died' ? 'primary-died' : (kind as 'accepted'))
  else if (to === 'first' && from === 'next') receiveAtFirst(world, kind)
  else if (to === 'next' && world.next === 'passed-on' && world.target === from) {
    const event = kind === 'died' ? 'new-died' : 'accepted'
    actPrimary(world, 'next', 'first', transferStep('primary', 'passed-on', event).action)
  }
}

/** Every next moment, without deaths. */
function* steps(world: World): Generator<World> {
  const change = (apply: (next: World) => void) => changed(world, apply)
  yield* arrivals(world, receive)
  if (world.alive.first && world.first === 'waiting') {
    yield change((next) => {
      if (next.alive.next) {
        next.first = 'passed-on'
        send(next, { from: 'first', to: 'next', kind: 'connection' })
      } else actPrimary(next, 'first', 'old', transferStep('primary', 'waiting', 'no-worker').action)
    })
  }
  if (world.alive.next && world.next === 'received') yield change(take)
  if (world.alive.next && world.next === 'waiting') {
    const living = NEW.filter((name) => world.alive[name])
    for (const name of living) {
      yield change((next) => {
        next.next = 'passed-on'
        next.target = name
        send(next, { from: 'next', to: name, kind: 'connection' })
      })
    }
    if (living.length === 0) {
      yield change((next) => actPrimary(next, 'next', 'first', transferStep('primary', 'waiting', 'no-worker').action))
    }
  }
  for (const name of NEW) {
    if (world.alive[name] && ['received', 'sent'].includes(world.workers[name]))
      yield change((next) => serve(next, name))
  }
}

/** The next primary says that it has taken the connection. */
function take(world: World): void {
  const { action } = transferStep('next', 'received', world.alive.first ? 'taken-sent' : 'not-sent')
  if (action === 'wait') {
    world.next = 'waiting'
    send(world, { from: 'next', to: 'first', kind: 'taken' })
  } else {
    world.next = 'done'
    world.holds.next = false
  }
}

function serve(world: World, name: 'new0' | 'new1'): void {
  if (world.workers[name] === 'received' && world.alive.next) {
    send(world, { from: name, to: 'next', kind: 'accepted' })
    world.workers[name] = 'sent'
    return
  }
  const { action } = transferStep('new', 'received', world.workers[name] === 'sent' ? 'accepted-sent' : 'not-sent')
  world.workers[name] = 'done'
  if (action === 'serve') use(world, name)
  else world.holds[name] = false
}

const explore = (maxDeaths: number) =>
  exploreFrom(START, {
    steps,
    interventions: (world) => (world.deaths < maxDeaths ? deaths<Name, World>(world, TOLD) : [])
  })

test('without a death, exactly one worker of the next primary uses a connection that went through two primaries', () => {
  const ends = explore(0)
  assert.ok(ends.length > 0)
  for (const { uses, holds } of ends) {
    assert.ok(uses === 'new0' || uses === 'new1')
    assert.deepEqual(holds, { old: false, first: false, next: false, new0: uses === 'new0', new1: uses === 'new1' })
  }
})

test('with two primaries, in any order of deaths, at most one process uses the connection and none keeps it unused', () => {
  const ends = explore(3)
  assert.ok(ends.length > 50, `${ends.length} ends`)
  for (const world of ends) {
    for (const name of Object.keys(world.holds) as Name[]) {
      assert.equal(world.holds[name], world.uses === name, `${name}: ${JSON.stringify(world)}`)
    }
  }
})

test('a connection that the next primary has not taken when it dies stays with the old worker', () => {
  const ends = explore(1).filter(({ alive, next }) => !alive.next && next === 'none')
  assert.ok(ends.length > 0)
  for (const world of ends) assert.equal(world.uses, 'old', JSON.stringify(world))
})
