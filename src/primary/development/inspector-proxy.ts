import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { StartupError } from '../../common/errors.ts'

/**
 * Passes debuggers on to the inspector of the worker that serves. The port stays the same over reloads: a debugger loses its
 * connection with each one, and finds the new worker at the same address.
 */
export class InspectorProxy {
  /** The inspector's port of each worker, by the worker's id. */
  readonly #ports = new Map<number, number>()
  readonly #sockets = new Map<Socket, number>()
  readonly #server: Server
  #serving: number | undefined

  constructor() {
    this.#server = createServer((client) => this.#pass(client))
  }

  /** @throws StartupError when the port is in use */
  async listen(host: string, port: number): Promise<string> {
    this.#server.listen(port, host)
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      throw new StartupError(
        `--inspect: ${host}:${port} cannot be opened (${(error as Error).message}): use --inspect=PORT with another port`
      )
    }
    return `${host}:${(this.#server.address() as { port: number }).port}`
  }

  opened(worker: number, port: number): void {
    this.#ports.set(worker, port)
  }

  ready(worker: number): void {
    this.#serving = worker
  }

  /** Cuts the debuggers of a worker that leaves: an attached one would keep it from exiting, and a breakpoint from draining. */
  leaves(worker: number): void {
    this.#ports.delete(worker)
    for (const [socket, owner] of this.#sockets) if (owner === worker) socket.destroy()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets.keys()) socket.destroy()
  }

  #pass(client: Socket): void {
    const owner = this.#serving !== undefined && this.#ports.has(this.#serving) ? this.#serving : this.#newest()
    const port = owner === undefined ? undefined : this.#ports.get(owner)
    if (owner === undefined || port === undefined) {
      client.destroy()
      return
    }
    const inspector = connect(port, '127.0.0.1')
    this.#sockets.set(client, owner)
    client
      .on('error', () => {})
      .once('close', () => {
        this.#sockets.delete(client)
        inspector.destroy()
      })
    inspector.on('error', () => {}).once('close', () => client.destroy())
    client.pipe(inspector).pipe(client)
  }

  #newest(): number | undefined {
    return [...this.#ports.keys()].at(-1)
  }
}
