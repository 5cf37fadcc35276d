import type { SendHandle } from 'node:child_process'

/** One end of an IPC channel: `process` in a worker, `worker.process` in the primary. */
export interface ChannelPeer {
  readonly connected: boolean
  send?(
    message: unknown,
    handle: SendHandle | undefined,
    options: { keepOpen: boolean },
    done: (error: Error | null) => void
  ): boolean
  on(event: 'message', listener: (message: unknown, handle: unknown) => void): unknown
  once(event: 'disconnect', listener: () => void): unknown
}

/** The names of requests, with the types of their arguments and results. */
type Requests = Record<string, { args: unknown; result: unknown }>
type Notification = { type: string }
type RequestFrame = { request: string; id: number; args: unknown }
type ResponseFrame = { response: number; result?: unknown; error?: string }

interface PendingRequest {
  resolve(result: unknown): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

/** A request failed: the peer did not answer in time, exited, or answered with an error. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
}

/** The peer has answered with an error, so it is alive. */
export class RpcRefusal extends RpcError {}

/** Requests of one peer that are answered at the same time. More are refused, which bounds the responses that a peer leaves unread. */
const MAX_REQUESTS = 32
const PEER_GONE = 'the other process is gone'

/**
 * A typed channel between two processes. A notification has no response; a request has one, or fails at its timeout or
 * when the peer exits. Garbage, and types that only newer code knows, are dropped.
 */
export interface Channel<
  Out extends Notification,
  In extends Notification,
  RequestsOut extends Requests,
  RequestsIn extends Requests
> {
  /**
   * Sends a notification. Never throws.
   * @param handle a socket, server or handle to pass along; it stays open in this process
   * @returns false when the peer is exiting or gone
   */
  notify(message: Out, handle?: unknown): Promise<boolean>
  /** @throws RpcError when there is no result within `timeoutMs` */
  request<Name extends keyof RequestsOut & string>(
    name: Name,
    args: RequestsOut[Name]['args'],
    timeoutMs: number
  ): Promise<RequestsOut[Name]['result']>
  /** Sets the one listener for a type of notification. */
  on<T extends In['type']>(type: T, listener: (message: Extract<In, { type: T }>, handle: unknown) => void): void
  /** Sets the one handler for a request. When it throws, the requester gets the error's message. */
  respond<Name extends keyof RequestsIn & string>(
    name: Name,
    handler: (args: RequestsIn[Name]['args']) => RequestsIn[Name]['result'] | Promise<RequestsIn[Name]['result']>
  ): void
}

/** @param accepts returns false for a message with wrong fields: a notification is dropped then, a request is refused */
export function createChannel<
  Out extends Notification,
  In extends Notification,
  RequestsOut extends Requests = Record<string, never>,
  RequestsIn extends Requests = Record<string, never>
>(
  peer: ChannelPeer,
  accepts: (message: Record<string, unknown>) => boolean = () => true
): Channel<Out, In, RequestsOut, RequestsIn> {
  const listeners = new Map<string, (message: never, handle: unknown) => void>()
  const handlers = new Map<string, (args: never) => unknown>()
  const pending = new Map<number, PendingRequest>()
  let lastId = 0
  let running = 0

  // Always with a callback: without one, an EPIPE from an exiting peer is an uncaught 'error' event in this process.
  const send = (message: Notification | RequestFrame | ResponseFrame, handle?: unknown): Promise<boolean> =>
    new Promise((resolve) => {
      if (!peer.connected || !peer.send) return resolve(false)
      peer.send(message, handle as SendHandle | undefined, { keepOpen: true }, (error) => resolve(error === null))
    })

  const takePending = (id: number): PendingRequest | undefined => {
    const request = pending.get(id)
    pending.delete(id)
    clearTimeout(request?.timer)
    return request
  }

  const handleRequest = async (frame: RequestFrame) => {
    running++
    try {
      const handler = handlers.get(frame.request)
      if (!handler) throw new RpcError(`unknown request "${frame.request}"`)
      if (running > MAX_REQUESTS) throw new RpcError(`more than ${MAX_REQUESTS} requests at once`)
      if (!accepts(frame)) throw new RpcError(`request "${frame.request}" with wrong arguments`)
      await send({ response: frame.id, result: await handler(frame.args as never) })
    } catch (error) {
      await send({ response: frame.id, error: error instanceof Error ? error.message : String(error) })
    } finally {
      running--
    }
  }

  const handleResponse = (id: number, { result, error }: { result?: unknown; error?: unknown }) => {
    const request = takePending(id)
    if (typeof error === 'string') request?.reject(new RpcRefusal(error))
    else request?.resolve(result)
  }

  peer.on('message', (message, handle) => {
    if (!isRecord(message)) return
    if (typeof message.type === 'string') {
      if (accepts(message)) listeners.get(message.type)?.(message as never, handle)
    } else if (typeof message.request === 'string' && typeof message.id === 'number') {
      void handleRequest({ request: message.request, id: message.id, args: message.args })
    } else if (typeof message.response === 'number') {
      handleResponse(message.response, message)
    }
  })
  peer.once('disconnect', () => {
    for (const id of [...pending.keys()]) takePending(id)?.reject(new RpcError(PEER_GONE))
  })

  return {
    notify: send,
    request: (name, args, timeoutMs) =>
      new Promise((resolve, reject) => {
        const id = ++lastId
        const timer = setTimeout(() => takePending(id)?.reject(new RpcError(`no answer in ${timeoutMs} ms`)), timeoutMs)
        pending.set(id, { resolve: resolve as (result: unknown) => void, reject, timer })
        void send({ request: name, id, args }).then((sent) => {
          if (!sent) takePending(id)?.reject(new RpcError(PEER_GONE))
        })
      }),
    on: (type, listener) => void listeners.set(type, listener as (message: never, handle: unknown) => void),
    respond: (name, handler) => void handlers.set(name, handler as (args: never) => unknown)
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
