import type { IncomingMessage } from 'node:http'

// What an app, the HTTP plugins and the worker tell each other about a request that goes on in another worker. The symbols are
// global, because an app may load another copy of this package than the service.
const TRANSFERABLE = Symbol.for('muster.transferable')
const RESUMPTION = Symbol.for('muster.resumption')
const TRANSFERRED = Symbol.for('muster.transferred')
const DRAINING = Symbol.for('muster.draining')

/** Returns what the handler in the next worker needs: a value that JSON can express, at most 64 KiB of it. */
export type GetState = () => unknown

/** A request of Node, or one of Fastify. */
export type AnyRequest = IncomingMessage | { raw: IncomingMessage }

/** How a request came from another worker. */
export interface Resumption {
  /** The id of the request in the log of the other worker. */
  requestId?: string | undefined
  /** What the other worker's handler gave, as JSON text. */
  state?: string | undefined
}

type MarkedRequest = IncomingMessage & {
  [RESUMPTION]?: Resumption
  [TRANSFERRED]?: true
  [DRAINING]?: AbortSignal
}

const rawOf = (request: AnyRequest): MarkedRequest => ('raw' in request ? request.raw : request)

/**
 * Lets the connection of this request move to another worker when this one drains. The request is a WebSocket, or a GET whose
 * response is an event stream. Does nothing outside the service.
 * @param getState what it returns, or resolves with, is `transferredState` in the next worker. It may be called more than once.
 */
export function transferable(request: AnyRequest, getState?: GetState): void {
  const offer = (globalThis as Record<symbol, unknown>)[TRANSFERABLE] as typeof offerTransfer | undefined
  offer?.(rawOf(request), getState)
}

declare function offerTransfer(request: IncomingMessage, getState: GetState | undefined): void

/** Sets what {@link transferable} calls in this process. */
export function onTransferable(offer: typeof offerTransfer): void {
  Object.assign(globalThis, { [TRANSFERABLE]: offer })
}

/** @returns the state that the handler in the previous worker gave; undefined for a request that a client has sent to this one */
export function transferredState<State = unknown>(request: AnyRequest): State | undefined {
  const state = rawOf(request)[RESUMPTION]?.state
  return state === undefined ? undefined : (JSON.parse(state) as State)
}

/** @returns whether the request goes on in another worker. For handlers of `close`: the client has not left. */
export const wasTransferred = (request: AnyRequest): boolean => rawOf(request)[TRANSFERRED] === true

/** Makes {@link wasTransferred} return true. */
export function markTransferred(request: IncomingMessage): void {
  ;(request as MarkedRequest)[TRANSFERRED] = true
}

/** @returns how the request came from another worker; undefined for a request that a client has sent to this one */
export const resumptionOf = (request: IncomingMessage): Resumption | undefined => (request as MarkedRequest)[RESUMPTION]

export function setResumption(request: IncomingMessage, resumption: Resumption): void {
  ;(request as MarkedRequest)[RESUMPTION] = resumption
}

/** @returns a signal that is aborted when the worker drains and the request cannot move; undefined when it never can */
export const drainingOf = (request: IncomingMessage): AbortSignal | undefined => (request as MarkedRequest)[DRAINING]

export function setDraining(request: IncomingMessage, signal: AbortSignal): void {
  ;(request as MarkedRequest)[DRAINING] = signal
}
