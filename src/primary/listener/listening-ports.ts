import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import type { AcceptGate } from '../../net/accept-gate.ts'
import type { ConnectionRouter } from './connection-router.ts'
import { type Port, takeAdminPort, takePort } from './port.ts'

/** PORT and ADMIN_PORT. What the primary accepts on them goes to the router. */
export class ListeningPorts {
  readonly #config: Config
  readonly #router: ConnectionRouter
  readonly #gate: AcceptGate
  readonly #log: Logger
  #port: Port | undefined
  #adminPort: Port | undefined

  constructor(config: Config, router: ConnectionRouter, gate: AcceptGate, log: Logger) {
    this.#config = config
    this.#router = router
    this.#gate = gate
    this.#log = log
  }

  /** The bound socket, for workers that accept connections themselves; undefined where the primary accepts. */
  get shared() {
    return this.#port?.shared
  }

  /** The numbers of the open ports; undefined for a Unix socket, and for an ADMIN_PORT that is not set. */
  get numbers(): { port: number | undefined; adminPort: number | undefined } {
    return { port: this.#port?.number, adminPort: this.#adminPort?.number }
  }

  /** Takes the ports. @throws StartupError */
  async open(): Promise<void> {
    const router = this.#router
    this.#port = await takePort(this.#config, (handle) => router.accept(handle), this.#log)
    if (this.#config.adminPort) {
      this.#adminPort = await takeAdminPort(this.#config.adminPort, (handle) => router.accept(handle, true), this.#log)
    }
    for (const port of [this.#port, this.#adminPort]) if (port?.handle) this.#gate.add(port.handle)
  }

  /** Stops accepting. Resolves when everything that was accepted has been passed to the router. */
  async close(): Promise<void> {
    await Promise.all([this.#port?.close(), this.#adminPort?.close()])
  }
}
