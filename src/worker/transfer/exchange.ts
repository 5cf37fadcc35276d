import type { IncomingMessage } from 'node:http'
import type { Resume } from '../../ipc/messages.ts'

/**
 * - `ready`: the exchange may move now.
 * - `busy`: it may move later: something is half written, half received, or not flushed.
 * - `never`: it can only end in this worker.
 */
export type Readiness = 'ready' | 'busy' | 'never'

/** An exchange in progress that another worker can continue on the same connection: an event stream or a WebSocket. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly readiness: Readiness
  /** Makes the exchange stand still. Resolves to false when it must stay in this worker. */
  prepare(): Promise<boolean>
  /** Describes the exchange to the next worker. Nothing of it can be read or written here any more. */
  describe(): Resume
  /** The worker drains and the exchange stays. Called at most once. */
  stay(): void
}

/**
 * Writes a request head as the client sent it.
 * @param replaced fields to send in place of those of the client, by lower-case name; an empty one is left out
 */
export function requestHead({ method, url, rawHeaders }: IncomingMessage, replaced: Record<string, string>): string {
  let head = `${method} ${url} HTTP/1.1\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!Object.hasOwn(replaced, rawHeaders[i]!.toLowerCase())) head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  }
  for (const [name, value] of Object.entries(replaced)) if (value) head += `${name}: ${value}\r\n`
  return `${head}\r\n`
}
