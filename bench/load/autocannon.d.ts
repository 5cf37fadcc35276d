/** The part of autocannon 9 that the bench uses; the package has no types of its own. */
declare module 'autocannon' {
  import type { EventEmitter } from 'node:events'

  export interface Client {
    setHeaders(headers: Record<string, string>): void
  }

  export interface Options {
    url: string
    method: 'GET' | 'POST'
    connections: number
    /** Seconds. */
    duration: number
    /** Seconds until a request without an answer is an error and its connection is opened again. */
    timeout: number
    /** Milliseconds. */
    sampleInt: number
    setupClient(client: Client): void
  }

  export interface Result {
    /** `sent` includes the requests that were under way when the time was up, one for each connection. */
    requests: { sent: number }
  }

  interface Events {
    response: [client: Client, status: number, bytes: number, ms: number]
    reqError: [error: NodeJS.ErrnoException]
  }

  export default function autocannon(options: Options): EventEmitter<Events> & PromiseLike<Result>
}
