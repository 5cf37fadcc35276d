import type { Logger } from '../../common/log.ts'
import type { Config } from '../../config/load.ts'
import type { AcceptGate } from '../../net/accept-gate.ts'
import { pauseAccepting, resumeAccepting } from '../../node-internals/listening-handle.ts'
import type { ConnectionRouter } from './connection-router.ts'
import { adoptPort, type InheritedPort, type Port, takeAdminPort, takePort } from './port.ts'

/** The listening sockets of the primary that this one replaces. */
export interface InheritedPorts {
  port?: InheritedPort | undefined
  adminPort?: InheritedPort | undefined
}

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

  /** The listening sockets, for a primary that replaces this one. */
  get handles(): { port: object | null | undefined; adminPort: object | null | undefined } {
    return { port: this.#port?.shared ?? this.#port?.handle?.(), adminPort: this.#adminPort?.handle?.() }
  }

  /**
   * Takes the ports. A socket that another primary passed on accepts nothing before {@link startAccepting}.
   * @throws StartupError
   */
  async open({ port, adminPort }: InheritedPorts = {}): Promise<void> {
    const accept: Parameters<typeof takePort>[1] = (handle) => this.#router.accept(handle)
    const acceptAdmin: typeof accept = (handle) => this.#router.accept(handle, true)
    const config = this.#config
    this.#port ??= port ? adoptPort(config, port, accept, this.#log) : await takePort(config, accept, this.#log)
    if (config.adminPort) {
      const { host } = config.adminPort
      this.#adminPort ??= adminPort
        ? adoptPort({ scheduling: 'rr', host }, adminPort, acceptAdmin, this.#log)
        : await takeAdminPort(config.adminPort, acceptAdmin, this.#log)
    }
    for (const one of this.#open) if (one.handle) this.#gate.add(one.handle)
  }

  startAccepting(): void {
    for (const { accept } of this.#open) accept?.()
  }

  /** Leaves the connections that wait in the kernel to the other primary that accepts on the same sockets. */
  pause(): void {
    for (const { handle } of this.#open) if (handle?.()) pauseAccepting(handle()!)
  }

  resume(): void {
    for (const { handle } of this.#open) if (handle?.()) resumeAccepting(handle()!)
  }

  /** Leaves the sockets that another primary has adopted to that one, and closes the others. */
  async leave(adopted: { port: boolean; adminPort: boolean }): Promise<void> {
    this.pause()
    if (!adopted.port) await this.#close('port')
    if (!adopted.adminPort) await this.#close('adminPort')
  }

  /** Takes the ports again after {@link leave}. @throws StartupError */
  async takeBack(): Promise<void> {
    this.resume()
    if (!this.#port || (this.#config.adminPort && !this.#adminPort)) await this.open()
  }

  async #close(name: 'port' | 'adminPort'): Promise<void> {
    const port = name === 'port' ? this.#port : this.#adminPort
    if (name === 'port') this.#port = undefined
    else this.#adminPort = undefined
    await port?.close()
  }

  /** Stops accepting. Resolves when everything that was accepted has been passed to the router. */
  async close(): Promise<void> {
    await Promise.all(this.#open.map((port) => port.close()))
  }

  get #open(): Port[] {
    return [this.#port, this.#adminPort].filter((port) => port !== undefined)
  }
}
