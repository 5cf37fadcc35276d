import type { Socket } from 'node:net'
import { networkOf } from '../../http/plugins/limits/network.ts'
import { inRanges } from '../../net/address-ranges.ts'

export interface AdmissionOptions {
  /** Connections of this worker; 0 is no limit. */
  maxConnections: number
  /** Connections of one client at this worker; 0 is no limit. */
  maxConnectionsPerClient: number
  /** Proxies carry the connections of many clients: they have no limit of their own. */
  trustProxy?: readonly string[] | undefined
}

/** Why a connection is refused: the worker has as many as it may have, or the client has, or it has no PROXY header. */
export type Refused = 'worker' | 'client' | 'proxy-header'

/** Decides which connections a worker takes, and counts those of each client where there is a limit for them. */
export class Admission {
  /** Refused so far. */
  readonly refused: Record<Refused, number> = { worker: 0, client: 0, 'proxy-header': 0 }
  readonly #max: number
  readonly #maxPerClient: number
  readonly #isProxy: (address: string | undefined) => boolean
  readonly #ofClient = new Map<string, number>()

  constructor({ maxConnections, maxConnectionsPerClient, trustProxy = [] }: AdmissionOptions) {
    this.#max = maxConnections || Number.POSITIVE_INFINITY
    this.#maxPerClient = maxConnectionsPerClient
    this.#isProxy = inRanges(trustProxy)
  }

  /**
   * Whether one more connection may come.
   * @param open how many the worker has
   */
  check(socket: Socket, open: number): Refused | undefined {
    const refused = this.#refusal(socket, open)
    if (refused) this.refused[refused]++
    return refused
  }

  /** Counts a connection that is taken. It is no longer counted when it closes. */
  enter(socket: Socket): void {
    const client = this.#clientOf(socket)
    if (client === undefined) return
    this.#ofClient.set(client, (this.#ofClient.get(client) ?? 0) + 1)
    socket.once('close', () => {
      const left = (this.#ofClient.get(client) ?? 1) - 1
      if (left > 0) this.#ofClient.set(client, left)
      else this.#ofClient.delete(client)
    })
  }

  #refusal(socket: Socket, open: number): Refused | undefined {
    if (open >= this.#max) return 'worker'
    const client = this.#clientOf(socket)
    if (client === undefined) return undefined
    return (this.#ofClient.get(client) ?? 0) >= this.#maxPerClient ? 'client' : undefined
  }

  /** What is counted as one client, an IPv6 network for example; undefined where nothing is counted. */
  #clientOf({ remoteAddress }: Socket): string | undefined {
    if (this.#maxPerClient === 0 || remoteAddress === undefined || this.#isProxy(remoteAddress)) return undefined
    return networkOf(remoteAddress)
  }
}
