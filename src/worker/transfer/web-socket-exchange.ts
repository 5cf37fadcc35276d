import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { replyOf } from '../../http/plugins/log/in-flight.ts'
import { type GetState, setDraining } from '../../http/transferable.ts'
import type { Resume } from '../../ipc/messages.ts'
import { handleOf, startReading, stopReading } from '../../node-internals/tcp-handle.ts'
import type { Connection } from '../connections/connection.ts'
import { type Exchange, type Readiness, requestHead } from './exchange.ts'
import { fieldOf } from './outgoing-frames.ts'

/** A frame of which more has come is awaited, instead of being sent from process to process. */
const MAX_REST_BYTES = 1024 * 1024
const MAX_STATE_BYTES = 64 * 1024
const STATE_TIMEOUT_MS = 2000
const FLUSH_CHECK_MS = 5

export interface WebSocketExchangeOptions {
  getState: GetState | undefined
  /** Called when the app's state cannot be sent, so that the socket stays. */
  onStateProblem: (why: string) => void
}

/** A WebSocket whose app gives its state to the next worker. It moves between two messages, and between any two bytes of one frame. */
export class WebSocketExchange implements Exchange {
  readonly request: IncomingMessage
  readonly #connection: Connection
  readonly #options: WebSocketExchangeOptions
  readonly #draining = new AbortController()
  #state: string | undefined

  constructor(connection: Connection, request: IncomingMessage, options: WebSocketExchangeOptions) {
    this.request = request
    this.#connection = connection
    this.#options = options
    setDraining(request, this.#draining.signal)
  }

  get readiness(): Readiness {
    const { socket, webSocket, incoming } = this.#connection
    if (socket.readableEnded || socket.writableEnded || incoming?.isClosing) return 'never'
    // The library has not answered the upgrade, or has not read what a paused socket holds.
    if (!webSocket?.answer || !incoming?.isRead || socket.isPaused() || socket.readableLength > 0) return 'busy'
    // The state of an extension, such as permessage-deflate, is in the memory of this process.
    if (!webSocket.isOpen || fieldOf(webSocket.answer, 'sec-websocket-extensions') !== undefined) return 'never'
    const isWhole = !incoming.inMessage && incoming.restBytes <= MAX_REST_BYTES
    return isWhole && this.#isFlushed() ? 'ready' : 'busy'
  }

  /** Reads no more, lets the app answer what it has, and sends that. */
  async prepare(): Promise<boolean> {
    const { socket } = this.#connection
    stopReading(socket)
    try {
      this.#state = await stateOf(this.#options.getState)
      while (!this.#isFlushed() && !socket.destroyed) await sleep(FLUSH_CHECK_MS)
      if (this.#connection.webSocket?.isOpen) return true
    } catch (error) {
      this.#options.onStateProblem((error as Error).message)
    }
    startReading(socket)
    return false
  }

  describe(): Resume {
    const { webSocket, incoming } = this.#connection
    const protocol = fieldOf(webSocket!.answer!, 'sec-websocket-protocol') ?? ''
    const rest = incoming!.rest
    return {
      kind: 'websocket',
      // The client must get the answer that it has: no extensions, and the same protocol.
      head: requestHead(this.request, { 'sec-websocket-extensions': '', 'sec-websocket-protocol': protocol }),
      requestId: replyOf(this.request)?.request.id,
      ...(rest.length > 0 && { more: rest.toString('base64') }),
      state: this.#state!
    }
  }

  stay(): void {
    this.#draining.abort()
  }

  #isFlushed(): boolean {
    const { socket, raw, webSocket } = this.#connection
    return socket.writableLength === 0 && handleOf(raw)?.writeQueueSize === 0 && webSocket?.isBetweenMessages === true
  }
}

/** @returns JSON text @throws Error when the state cannot be sent to another process */
async function stateOf(getState: GetState = () => null): Promise<string> {
  const timeout = new AbortController()
  const late = sleep(STATE_TIMEOUT_MS, undefined, { signal: timeout.signal }).then(() => {
    throw new Error(`the state was not there after ${STATE_TIMEOUT_MS} ms`)
  })
  late.catch(() => {})
  try {
    const text: string | undefined = JSON.stringify(await Promise.race([getState(), late]))
    if (text === undefined) throw new Error('the state is nothing that JSON can express')
    const bytes = Buffer.byteLength(text)
    if (bytes <= MAX_STATE_BYTES) return text
    throw new Error(`the state has ${bytes} bytes, and ${MAX_STATE_BYTES} are allowed`)
  } finally {
    timeout.abort()
  }
}
