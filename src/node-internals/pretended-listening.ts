// Servers that behave as if they listened, although their process gets connections in another way. Node has no public way to see
// that a server is about to listen. Only what code reads of a listening server is replaced, as own properties of the server.
import type { Server as HttpServer } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'

/** Loaded at first use: an import of node:http would load undici too, see common/node-http.ts. */
const http = process.getBuiltinModule('node:http')

/** What `server.address()` returns: address and port, or the path of a Unix socket. */
export type ListenAddress = AddressInfo | string

/** The servers of HTTP, HTTPS and HTTP/2 inherit it. */
const { listen } = NetServer.prototype
const PRETENCE = Symbol('pretended listening')
const keptOpen = new Set<Pretence>()
type PretendingServer = HttpServer & { [PRETENCE]?: Pretence }

/** Listens, whether or not {@link interceptListen} is in force. */
export function listenForReal(server: NetServer, ...args: unknown[]): void {
  Reflect.apply(listen, server, args)
}

/**
 * Replaces `listen` of every server of this process.
 * @param takes gets each server that is about to listen, and may call {@link pretendToListen}. When it returns false, the server
 * listens; when it throws, `listen` throws
 */
export function interceptListen(takes: (server: NetServer) => boolean): void {
  function intercepted(this: NetServer, ...args: unknown[]): NetServer {
    if (!takes(this)) return Reflect.apply(listen, this, args)
    return this.listen(...(args as []))
  }
  NetServer.prototype.listen = intercepted as typeof listen
}

/**
 * Makes `server.listen()` bind nothing. It emits `listening`, and from then on the server reports this address.
 * @param staysOpen `close` is emitted only after {@link stopPretending}, or {@link allowClosing}
 */
export function pretendToListen(server: HttpServer, address: ListenAddress, staysOpen: boolean): void {
  const pretence = new Pretence(server, staysOpen)
  if (staysOpen) keptOpen.add(pretence)
  Object.assign(server, {
    [PRETENCE]: pretence,
    listen: (...args: unknown[]) => pretence.listen(args.at(-1)),
    close: (callback?: unknown) => pretence.close(callback),
    address: () => (pretence.isListening ? address : null)
  })
  Object.defineProperty(server, 'listening', { configurable: true, get: () => pretence.isListening })
}

/** Lets all servers close that {@link pretendToListen} keeps open: those that were told to now, others as soon as they are. */
export function allowClosing(): void {
  for (const pretence of keptOpen) pretence.allowClosing()
}

/** Closes a server that {@link pretendToListen} keeps open. Other servers are left alone. */
export function stopPretending(server: HttpServer): void {
  ;(server as PretendingServer)[PRETENCE]?.end()
}

class Pretence {
  isListening = false
  readonly #server: HttpServer
  #staysOpen: boolean
  #isToldToClose = false

  constructor(server: HttpServer, staysOpen: boolean) {
    this.#server = server
    this.#staysOpen = staysOpen
  }

  listen(callback: unknown): HttpServer {
    const server = this.#server
    if (this.isListening) throw errorOf('ERR_SERVER_ALREADY_LISTEN', 'The server listens already')
    this.isListening = true
    this.#isToldToClose = false
    if (typeof callback === 'function') server.once('listening', callback as () => void)
    process.nextTick(() => server.emit('listening'))
    return server
  }

  close(callback: unknown): HttpServer {
    const server = this.#server
    if (!this.isListening) {
      if (typeof callback === 'function')
        process.nextTick(callback, errorOf('ERR_SERVER_NOT_RUNNING', 'Server is not running'))
      return server
    }
    if (typeof callback === 'function') server.once('close', callback as () => void)
    this.#isToldToClose = true
    if (!this.#staysOpen) this.end()
    return server
  }

  allowClosing(): void {
    this.#staysOpen = false
    if (this.#isToldToClose) this.end()
  }

  end(): void {
    if (!this.isListening) return
    this.isListening = false
    process.nextTick(() => this.#server.emit('close'))
  }
}

const errorOf = (code: string, message: string) => Object.assign(new Error(message), { code })

export function probePretendedListening(): Record<string, boolean> {
  const server = http.createServer()
  return {
    'net.Server#listen of http.Server': !Object.hasOwn(http.Server.prototype, 'listen'),
    'net.Server#listening': 'listening' in server
  }
}
