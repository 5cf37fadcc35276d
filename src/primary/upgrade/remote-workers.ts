import { transferStep } from '../../ipc/transfer-protocol.ts'
import type { ConnectionRouter } from '../listener/connection-router.ts'
import type { ConnectionOffer, RoutingTarget, TcpHandle } from '../listener/routed-connection.ts'
import type { PrimaryChannel } from './upgrade-messages.ts'

const PING_MS = 5000

/** Ids of workers of other primaries are negative, one for each slot of each primary. */
let lastId = 0

/** The workers of the other primary, as targets of connections, and the connections that come from there. */
export class RemoteWorkers {
  readonly #channel: PrimaryChannel
  readonly #router: ConnectionRouter
  readonly #passesOn: () => boolean
  readonly #targets = new Map<number, RoutingTarget>()

  /** @param passesOn whether connections from there may go to a third primary, which replaces this one */
  constructor(channel: PrimaryChannel, router: ConnectionRouter, passesOn = () => false) {
    this.#channel = channel
    this.#router = router
    this.#passesOn = passesOn
    channel.respond('ping', () => null)
    channel.on('connection', ({ type: _, slot, ...offer }, handle) => {
      // Without a handle this process is out of descriptors: the other one asks whether the connection arrived.
      if (handle) void this.#receive(slot, offer, handle as TcpHandle)
    })
    channel.on('taken', ({ id, slot }) => router.taken(id, this.#target(slot).id))
    channel.on('served', ({ id, slot, lost }) => {
      if (lost) router.returned(id, this.#target(slot).id)
      else router.accepted(id, this.#target(slot).id)
    })
  }

  /** The targets for these slots. */
  of(slots: readonly number[]): RoutingTarget[] {
    return slots.map((slot) => this.#target(slot))
  }

  /** The other primary is gone: what it had not taken goes to other workers. */
  gone(): void {
    for (const { id } of this.#targets.values()) this.#router.workerExited(id)
  }

  #target(slot: number): RoutingTarget {
    const target = this.#targets.get(slot) ?? this.#createTarget(slot)
    this.#targets.set(slot, target)
    return target
  }

  #createTarget(slot: number): RoutingTarget {
    return {
      id: --lastId,
      slot,
      resumes: true,
      isRemote: true,
      offer: (connection, handle) => this.#channel.notify({ type: 'connection', slot, ...connection }, handle),
      responds: () =>
        this.#channel.request('ping', {}, PING_MS).then(
          () => true,
          () => false
        )
    }
  }

  async #receive(slot: number, { id, ...details }: ConnectionOffer, handle: TcpHandle): Promise<void> {
    const isSent = await this.#channel.notify({ type: 'taken', id, slot })
    const { action } = transferStep('next', 'received', isSent ? 'taken-sent' : 'not-sent')
    if (action === 'close') return handle.close()
    this.#router.transfer({ ...details, handle, slot, isLocal: !this.#passesOn() }, (lost) => {
      void this.#channel.notify({ type: 'served', id, slot, lost })
    })
  }
}
