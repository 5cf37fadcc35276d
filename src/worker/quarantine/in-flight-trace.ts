import { constants, openSync, writeSync } from 'node:fs'
import type { FastifyReply } from 'fastify'
import { describeRequest } from '../../http/plugins/log/in-flight.ts'

const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants
/** The size of an entry, in bytes. */
const ENTRY_BYTES = 1024
const EMPTY = Buffer.from(`${' '.repeat(ENTRY_BYTES - 1)}\n`)

/**
 * A file with the requests in flight, kept up to date with one write at the start and one at the end of each request. The kernel
 * has what was written even if the process is killed or aborts. Entries are lines of JSON; unused ones are blank.
 */
export class InFlightTrace {
  readonly #descriptor: number
  readonly #free: number[] = []
  #entries = 0

  /** Creates the file. @throws Error when that fails */
  constructor(path: string) {
    this.#descriptor = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
  }

  /** Notes the request of a reply, until its response closes. A full disk costs the entry. */
  note({ raw, request }: FastifyReply): void {
    const place = this.#free.pop() ?? this.#entries++
    this.#write(place, entryOf(request.raw))
    raw.once('close', () => {
      this.#write(place, EMPTY)
      this.#free.push(place)
    })
  }

  #write(place: number, entry: Buffer): void {
    try {
      writeSync(this.#descriptor, entry, 0, ENTRY_BYTES, place * ENTRY_BYTES)
    } catch {
      // The report of the next death lacks this request.
    }
  }
}

function entryOf(request: Parameters<typeof describeRequest>[0]): Buffer {
  const { method, route, path } = describeRequest(request)
  const text = Buffer.from(JSON.stringify({ method, route, path }))
  const entry = Buffer.from(EMPTY)
  if (text.length < ENTRY_BYTES) text.copy(entry)
  return entry
}
