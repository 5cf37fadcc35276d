import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { nowMs, type Operation } from './operations.ts'

/** Fields of an operation that its caller knows. `Omit` keeps the kinds of operations apart. */
export type Begun<O> = O extends Operation ? Omit<O, 'id' | 'invokedAt' | 'returnedAt'> : never

/** Records operations of clients in this process, and of workers, which report over a Unix socket. */
export class Recorder {
  readonly #operations = new Map<string, Operation>()
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #lastId = 0

  /** @param socketPath where workers report: lines of JSON with a `key`; lines with the same key are one operation */
  constructor(socketPath: string) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
      createInterface({ input: socket }).on('line', (line) => this.#merge(line))
    }).listen(socketPath)
  }

  /** Begins an operation. Its outcome is unknown until {@link end}. */
  begin(fields: Begun<Operation>): Operation {
    const id = ++this.#lastId
    const operation = { id, ...fields, invokedAt: nowMs(), returnedAt: null } as Operation
    this.#operations.set(`${id}`, operation)
    return operation
  }

  /** Ends an operation with its results. */
  end(operation: Operation, results: Partial<Operation> = {}): void {
    Object.assign(operation, { returnedAt: nowMs() }, results)
  }

  /** Removes an operation that certainly did not take effect. */
  drop({ id }: Operation): void {
    this.#operations.delete(`${id}`)
  }

  /** Adds an operation that has the same times as another one: a request that read several objects. */
  copy(operation: Operation, fields: Partial<Operation>): void {
    const id = ++this.#lastId
    this.#operations.set(`${id}`, { ...operation, ...fields, id } as Operation)
  }

  /** All operations so far. */
  get operations(): Operation[] {
    return [...this.#operations.values()]
  }

  /** Ends when every worker has closed its connection. */
  async close(): Promise<void> {
    this.#server.close()
    await Promise.all([...this.#sockets].map((socket) => socket.closed || once(socket, 'close')))
  }

  #merge(line: string): void {
    let fields: { key: string }
    try {
      fields = JSON.parse(line)
    } catch {
      // A killed worker has not finished its last line.
      return
    }
    const { key, ...rest } = fields
    const known = this.#operations.get(`of ${key}`)
    if (known) Object.assign(known, rest)
    else this.#operations.set(`of ${key}`, { id: ++this.#lastId, ...rest } as Operation)
  }
}
