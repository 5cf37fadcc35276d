import type { Server } from 'node:http'
import type { Server as NetServer } from 'node:net'
import { StartupError } from '../../common/errors.ts'
import { http } from '../../common/node-http.ts'
import { interceptListen, type ListenAddress, pretendToListen } from '../../node-internals/pretended-listening.ts'

export const TWO_APPS =
  'APP has two apps, and the service has one port for one of them: export the app, or let one server listen while the module ' +
  'loads, and open others later'
const SECURE =
  'APP opens a server of HTTPS or HTTP/2, but the service speaks TLS itself: create the server with node:http, and set TLS_CERT ' +
  'and TLS_KEY'

/**
 * Servers that the app tells to listen. They bind nothing: the service gives them its requests. An app that starts itself runs
 * unchanged this way.
 */
export class CapturedServers {
  /** The first server that the app told to listen. */
  server: Server | undefined
  /** Why the app cannot be served. Its `listen` has thrown this, but the app may have caught it. */
  problem: StartupError | undefined
  readonly #address: ListenAddress
  /** Undefined while the app loads. */
  #takesLate: ((server: Server) => boolean) | undefined
  #onChange: (() => void) | undefined

  /** @param address that captured servers report */
  constructor(address: ListenAddress) {
    this.#address = address
    interceptListen((server) => this.#takes(server))
  }

  /**
   * Resolves with the first captured server; undefined when the app has told none to listen within this time, in ms.
   * @throws StartupError {@link problem}
   */
  async first(waitMs: number): Promise<Server | undefined> {
    if (!this.server && !this.problem) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        this.#onChange = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    if (this.problem) throw this.problem
    return this.server
  }

  /**
   * Ends the loading of the app: from now on servers listen for real.
   * @param takesLate returns true for a server of the app that is mounted already, which still binds nothing
   */
  release(takesLate: (server: Server) => boolean): void {
    this.#takesLate = takesLate
  }

  #takes(server: NetServer): boolean {
    const isHttp = server instanceof http.Server
    // Other protocols than HTTP are the app's own affair.
    if (!isHttp && server.listenerCount('request') === 0) return false
    if (this.#takesLate) {
      if (!isHttp || !this.#takesLate(server)) return false
    } else {
      this.#check(server, isHttp)
      this.server ??= server as Server
      this.#onChange?.()
    }
    pretendToListen(server as Server, this.#address, true)
    return true
  }

  #check(server: NetServer, isHttp: boolean): void {
    const reason = isHttp ? this.#otherApp(server as Server) : SECURE
    if (!reason) return
    this.problem = new StartupError(reason)
    this.#onChange?.()
    throw this.problem
  }

  /** Fastify opens a second server with the same listener when `localhost` has two addresses. */
  #otherApp(server: Server): string | undefined {
    if (!this.server || sharesListener(this.server, server)) return undefined
    return TWO_APPS
  }
}

/** @returns whether both servers give requests to the same function */
export function sharesListener(one: Server, other: Server): boolean {
  const listeners = new Set(one.listeners('request'))
  return other.listeners('request').some((listener) => listeners.has(listener))
}
