import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TransferAction, transferStep } from '../../src/ipc/transfer-protocol.ts'

type Name = 'old' | 'primary' | 'new0' | 'new1'
/** A message that was sent and not received yet. With the descriptor in it, it is a copy of the descriptor. */
interface Message {
  from: Name
  to: Name
  kind: 'transfer' | 'connection' | 'accepted' | 'refused' | 'died'
}
/** One moment of one transfer: what each process is, and what is under way between them. */
interface World {
  alive: Record<Name, boolean>
  holds: Record<Name, boolean>
  uses: Name | undefined
  /** A new worker that has read or written: no other may use the connection after that. */
  used: Name | undefined
  old: 'offered' | 'done'
  primary: 'none' | 'waiting' | 'passed-on' | 'done'
  target: Name | undefined
  fresh: Record<'new0' | 'new1', 'none' | 'received' | 'sent' | 'done'>
  messages: Message[]
  deaths: number
}

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

function send(world: World, message: Message): void {
  if (world.alive[message.to]) world.messages.push(message)
}

function use(world: World, name: Name): void {
  assert.equal(world.uses, undefined, 'two processes use the connection')
  assert.ok(world.used === undefined, 'a process uses it after another one has changed it')
  world.uses = name
  world.used = name
}

function actOld(world: World, event: 'accepted' | 'refused' | 'primary-died'): void {
  if (!world.alive.old || world.old === 'done') return
  const { to, action } = transferStep('old', 'offered', event)
  world.old = to
  if (action === 'take-back') use(world, 'old')
  else world.holds.old = false
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

function receive(world: World, { from, to, kind }: Message): void {
  if (kind === 'transfer') {
    world.primary = 'waiting'
    world.holds.primary = true
  } else if (kind === 'connection') {
    world.fresh[to as 'new0'] = 'received'
    world.holds[to] = true
  } else if (to === 'old') actOld(world, kind === 'died' ? 'primary-died' : kind)
  else if (to === 'primary' && world.primary === 'passed-on' && world.target === from) {
    if (kind === 'accepted') actPrimary(world, transferStep('primary', 'passed-on', 'accepted').action)
    if (kind === 'died') actPrimary(world, transferStep('primary', 'passed-on', 'new-died').action)
  }
}

/** Every next moment, without deaths. Messages between two processes keep their order. */
function* steps(world: World): Generator<World> {
  for (const [i, message] of world.messages.entries()) {
    if (world.messages.findIndex(({ from, to }) => from === message.from && to === message.to) !== i) continue
    const next = structuredClone(world)
    next.messages.splice(i, 1)
    receive(next, message)
    yield next
  }
  if (world.alive.primary && world.primary === 'waiting') {
    const living = NEW.filter((name) => world.alive[name])
    for (const name of living) {
      const next = structuredClone(world)
      next.primary = transferStep('primary', 'waiting', 'worker-chosen').to
      next.target = name
      send(next, { from: 'primary', to: name, kind: 'connection' })
      yield next
    }
    if (living.length === 0) {
      const next = structuredClone(world)
      actPrimary(next, transferStep('primary', 'waiting', 'no-worker').action)
      yield next
    }
  }
  for (const name of NEW) {
    if (!world.alive[name] || !['received', 'sent'].includes(world.fresh[name])) continue
    const next = structuredClone(world)
    if (world.fresh[name] === 'received' && world.alive.primary) {
      send(next, { from: name, to: 'primary', kind: 'accepted' })
      next.fresh[name] = 'sent'
    } else {
      const event = world.fresh[name] === 'sent' ? 'accepted-sent' : 'not-sent'
      next.fresh[name] = 'done'
      if (transferStep('new', 'received', event).action === 'serve') use(next, name)
      else next.holds[name] = false
    }
    yield next
  }
}

/** The moments after the death of one process. What it sent arrives before the news of its death. */
function* deaths(world: World): Generator<World> {
  for (const name of Object.keys(world.alive) as Name[]) {
    if (!world.alive[name]) continue
    const next = structuredClone(world)
    next.alive[name] = false
    next.holds[name] = false
    next.deaths++
    if (next.uses === name) next.uses = undefined
    next.messages = next.messages.filter(({ to }) => to !== name)
    for (const to of name === 'primary' ? (['old'] as const) : (['primary'] as const)) {
      if (name !== 'old') send(next, { from: name, to, kind: 'died' })
    }
    yield next
  }
}

/** Visits every moment that can be reached. @returns the moments at which nothing more happens by itself */
function explore(maxDeaths: number): World[] {
  const seen = new Set<string>()
  const ends: World[] = []
  const queue = [START]
  for (let world = queue.pop(); world; world = queue.pop()) {
    const key = JSON.stringify(world)
    if (seen.has(key)) continue
    seen.add(key)
    const next = [...steps(world)]
    if (next.length === 0) ends.push(world)
    queue.push(...next)
    if (world.deaths < maxDeaths) queue.push(...deaths(world))
  }
  return ends
}

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
