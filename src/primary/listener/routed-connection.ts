import type { Origin, Resume } from '../../ipc/messages.ts'
import type { Candidate, RoutingHint } from './balancing.ts'
import type { ClientHandle } from './client-address.ts'

/** What a worker learns about a connection. */
export interface ConnectionOffer {
  id: number
  /** The rest of a transferred connection's keep-alive time, in ms; undefined for a new connection. */
  idleMs?: number
  /** Bytes that the primary has read from the connection, in base64. */
  head?: string
  origin?: Origin
  /** Set when the connection is in use. */
  resume?: Resume
}

/** A worker that can take connections. */
export interface RoutingTarget extends Candidate {
  /** Sends the connection to the worker. The handle stays open here. @returns false if the worker cannot be reached */
  offer(connection: ConnectionOffer, handle: unknown): Promise<boolean>
  room?: number | undefined
  /** Resolves when the worker has handled everything that it was sent before; false if it does not answer. Never rejects. */
  responds(): Promise<boolean>
}

/** Node's TCP handle of a connection. */
export interface TcpHandle extends ClientHandle {
  close(): void
}

/** A connection that a leaving worker passes on, or another primary. It is idle without `resume`. */
export interface Transfer {
  handle: TcpHandle
  /** The slot of the leaving worker, or of the one that is to get the connection. */
  slot: number
  /** The rest of its keep-alive time, in ms; undefined for a new connection that another primary has accepted. */
  idleMs?: number | undefined
  /** Bytes that a primary has read from the connection, in base64. */
  head?: string | undefined
  /** It came from another primary, and must not go back there: it goes to a worker of this one. */
  isLocal?: boolean
  origin?: Origin | undefined
  resume?: Resume | undefined
  /** Id of the worker that should get it: the one that sends it is busier. */
  target?: number | undefined
}

/** A connection on its way to a worker. */
export interface RoutedConnection extends RoutingHint {
  readonly offer: ConnectionOffer
  readonly handle: TcpHandle
  /** Closes this process' copy of the descriptor; the worker's copy stays open. `lost`: no worker has the connection. */
  readonly release: (lost: boolean) => void
  /** The worker that it was offered to; undefined while it waits. */
  target: RoutingTarget | undefined
  /** The target is another primary, whose workers may use the connection by now. */
  isTaken: boolean
  /** When it was offered, in ms of `performance.now()`. */
  offeredAt: number
  avoid: number | undefined
}

/** Creates all fields at once: objects that get fields later cost ten times as much on Node 20. */
export function createConnection(
  offer: ConnectionOffer,
  handle: TcpHandle,
  release: RoutedConnection['release'],
  { client, slot, resumes, isLocal, prefer }: RoutingHint = {}
): RoutedConnection {
  return {
    offer,
    handle,
    release,
    client,
    slot,
    resumes,
    isLocal,
    prefer,
    target: undefined,
    isTaken: false,
    offeredAt: 0,
    avoid: undefined
  }
}
