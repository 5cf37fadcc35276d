import type { Socket } from 'node:net'
import { networkOf } from '../../http/plugins/limits/network.ts'
import { inRanges } from '../../net/address-ranges.ts'

export interface AdmissionOptions {
  /** Connections of this worker; 0 means no limit. */
  maxConnections: number
  /** Connections of one client to this worker; 0 means no limit. */
  maxConnectionsPerClient: number
  /** Addresses and CIDR ranges of proxies. They carry many clients, so the limit per client does not apply to them. */
  trustProxy?: readonly string[] | undefined
}

/** Why a connection is refused: the limit of the worker, the limit of the client, or no valid PROXY header. */
export type RefusalReason = 'worker' | 'client' | 'proxy-header'

/** Decides which connections a worker accepts, and counts connections by client when there is a limit for them. */
export class Admission {
  /** Connections refused since the start. */
  readonly refused: Record<RefusalReason, number> = { worker: 0, client: 0, 'proxy-header': 0 }
  readonly #max: number
  readonly #maxPerClient: number
  readonly #isProxy: (address: string | undefined) => boolean
  readonly #openByClient = new Map<string, number>()

  constructor({ maxConnections, maxConnectionsPerClient, trustProxy = [] }: AdmissionOptions) {
    this.#max = maxConnections || Number.POSITIVE_INFINITY
    this.#maxPerClient = maxConnectionsPerClient
    this.#isProxy = inRanges(trustProxy)
  }

  /**
   * Decides about one more connection, and counts a refusal.
   * @param open connections that the worker has
   * @returns undefined when the connection is accepted
   */
  check(socket: Socket, open: number): RefusalReason | undefined {
    const reason = this.#refusalReason(socket, open)
    if (reason) this.refused[reason]++
    return reason
  }

  /** Counts an accepted connection until it closes. */
  enter(socket: Socket): void {
    const client = this.#clientOf(socket)
    if (client === undefined) return
    this.#openByClient.set(client, (this.#openByClient.get(client) ?? 0) + 1)
    socket.once('close', () => {
      const left = (this.#openByClient.get(client) ?? 1) - 1
      if (left > 0) this.#openByClient.set(client, left)
      else this.#openByClient.delete(client)
    })
  }

  #refusalReason(socket: Socket, open: number): RefusalReason | undefined {
    if (open >= this.#max) return 'worker'
    const client = this.#clientOf(socket)
    if (client === undefined) return undefined
    return (this.#openByClient.get(client) ?? 0) >= this.#maxPerClient ? 'client' : undefined
  }

  /** @returns the key of the client, which is a network for IPv6; undefined when the limit does not apply */
  #clientOf(socket: Socket): string | undefined {
    // Reading the address is a system call.
    if (this.#maxPerClient === 0) return undefined
    const { remoteAddress } = socket
    return remoteAddress === undefined || this.#isProxy(remoteAddress) ? undefined : networkOf(remoteAddress)
  }
}
