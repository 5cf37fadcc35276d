import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { until } from './until.ts'

interface StreamEvent {
  id: string | undefined
  event: string | undefined
  data: string | undefined
}

/** A client of one event stream, which never reconnects. */
export class EventClient {
  readonly events: StreamEvent[] = []
  readonly response: IncomingMessage
  readonly request: ClientRequest
  /** How the response ended; undefined while it is open. */
  end: 'complete' | 'aborted' | undefined
  #text = ''

  static async open(port: number, path: string, headers: Record<string, string> = {}): Promise<EventClient> {
    const sent = request({ port, host: '127.0.0.1', path, headers, agent: false })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return new EventClient(sent, response)
  }

  constructor(sent: ClientRequest, response: IncomingMessage) {
    this.request = sent
    this.response = response
    sent.on('error', () => {})
    response.on('error', () => {})
    response.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    response.on('close', () => {
      this.end = response.complete ? 'complete' : 'aborted'
    })
  }

  /** Ids as numbers, in the order of arrival. */
  get ids(): number[] {
    return this.events.flatMap(({ id }) => (id === undefined ? [] : [Number(id)]))
  }

  /** The workers that wrote the events. */
  get pids(): Set<string | undefined> {
    return new Set(this.events.flatMap(({ id, data }) => (id === undefined ? [] : [data])))
  }

  /** Waits until this number of events has come since the stream began. */
  async has(count: number): Promise<void> {
    await until(() => this.events.length >= count || this.end, `${count} events`)
  }

  /** Waits for events beyond those that have come. */
  more(count: number): Promise<void> {
    return this.has(this.events.length + count)
  }

  async ended(): Promise<'complete' | 'aborted'> {
    await until(() => this.end, 'the end of the stream')
    return this.end!
  }

  /** Resets the connection. A service learns of a mere FIN only when it writes, and of a silent stream's after a minute. */
  close(): void {
    this.response.socket.resetAndDestroy()
  }

  #read(text: string): void {
    this.#text += text
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const event = this.#text.slice(0, end)
      this.#text = this.#text.slice(end + 2)
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(event)?.[1]
      if (/^(id|event|data):/m.test(event)) {
        this.events.push({ id: field('id'), event: field('event'), data: field('data') })
      }
    }
  }
}

/** Whether the numbers are 1, 2, 3 and so on: no event is missing, repeated or out of order. */
export const isComplete = (ids: readonly number[]): boolean => ids.every((id, i) => id === i + 1)
