import assert from 'node:assert/strict'
import { transferStep } from '../../src/ipc/transfer-protocol.ts'
import { changed } from './explore.ts'

/** A message that was sent and not received yet. With the descriptor in it, it is a copy of the descriptor. */
export interface Message<Name extends string> {
  from: Name
  to: Name
  kind: 'transfer' | 'connection' | 'taken' | 'accepted' | 'refused' | 'died'
}

/** One moment of the transfer of one connection from the worker `old`: what each process has, and what is under way between them. */
export interface TransferWorld<Name extends string> {
  alive: Record<Name, boolean>
  holds: Record<Name, boolean>
  uses: Name | undefined
  /** A process that has read or written: no other may use the connection after that. */
  used: Name | undefined
  old: 'offered' | 'done'
  messages: Message<Name>[]
  deaths: number
}

export function send<Name extends string>(world: TransferWorld<Name>, message: Message<Name>): void {
  if (world.alive[message.to]) world.messages.push(message)
}

/** Expects that no other process uses the connection, or has changed it. */
export function use<Name extends string>(world: TransferWorld<Name>, name: Name): void {
  assert.equal(world.uses, undefined, 'two processes use the connection')
  assert.equal(world.used, undefined, 'a process uses it after another one has changed it')
  world.uses = name
  world.used = name
}

export function actOld<Name extends string>(
  world: TransferWorld<Name | 'old'>,
  event: 'accepted' | 'refused' | 'primary-died'
): void {
  if (!world.alive.old || world.old === 'done') return
  const { to, action } = transferStep('old', 'offered', event)
  world.old = to
  if (action === 'take-back') use(world, 'old')
  else world.holds.old = false
}

/** The moments after the arrival of one message. Messages between two processes keep their order. */
export function* arrivals<Name extends string, World extends TransferWorld<Name>>(
  world: World,
  receive: (world: World, message: Message<Name>) => void
): Generator<World> {
  for (const [i, message] of world.messages.entries()) {
    if (world.messages.findIndex(({ from, to }) => from === message.from && to === message.to) !== i) continue
    yield changed(world, (next) => {
      next.messages.splice(i, 1)
      receive(next, message)
    })
  }
}

/** The moments after the death of one process. What it sent arrives before the news, which the process in `told` gets. */
export function* deaths<Name extends string, World extends TransferWorld<Name>>(
  world: World,
  told: Partial<Record<Name, Name>>
): Generator<World> {
  for (const name of Object.keys(world.alive) as Name[]) {
    if (!world.alive[name]) continue
    yield changed(world, (next) => {
      next.alive[name] = false
      next.holds[name] = false
      next.deaths++
      if (next.uses === name) next.uses = undefined
      next.messages = next.messages.filter(({ to }) => to !== name)
      const to = told[name]
      if (to !== undefined) send(next, { from: name, to, kind: 'died' })
    })
  }
}
