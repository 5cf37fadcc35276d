import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { http } from '../../../common/node-http.ts'

type Given = OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined

/** What node's `writeHead` ends in: it puts the head together, behind the status line that it is given. */
interface HeadWriter {
  _storeHeader(statusLine: string, headers: Given): void
}
const { _storeHeader } = http.ServerResponse.prototype as unknown as HeadWriter

/**
 * Headers that are the same for every answer, written out once: node checks each name and each value of a header at each
 * answer, which for these took longer than the rest of a small answer's head.
 */
export class StaticHeaders {
  readonly headers: Readonly<Record<string, string>>
  /** As they go out, by the names of those that are left out. */
  readonly #texts = new Map<string, string>()

  /** @param headers by lower-case names; what they say is not checked */
  constructor(headers: Readonly<Record<string, string>>) {
    this.headers = Object.freeze(headers)
  }

  /** Those that an answer does not have already, in lines. @param given names in any case */
  textBeside(given: Given): string {
    let left = ''
    const leave = (key: string) => {
      const name = key.toLowerCase()
      if (name in this.headers) left += `${name} `
    }
    if (Array.isArray(given)) for (const key of namesOf(given)) leave(key)
    else for (const key in given) leave(key)
    return this.#texts.get(left) ?? this.#write(left)
  }

  #write(left: string): string {
    const others = Object.entries(this.headers).filter(([name]) => !left.split(' ').includes(name))
    const text = others.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    this.#texts.set(left, text)
    return text
  }
}

/** Of names and values in turn, or of pairs. */
const namesOf = (given: OutgoingHttpHeader[]): string[] =>
  Array.isArray(given[0])
    ? given.map((pair) => (pair as string[])[0]!)
    : given.filter((_, i) => i % 2 === 0).map(String)

/** Node's answer, with headers that stand in front of all that it is given. */
export class StaticHeadersResponse<
  Request extends IncomingMessage = IncomingMessage
> extends http.ServerResponse<Request> {
  staticHeaders: StaticHeaders | undefined = undefined

  /** Node calls it, whichever way the head of an answer comes to be written. */
  _storeHeader(statusLine: string, headers: Given): void {
    const text = this.staticHeaders?.textBeside(headers) ?? ''
    _storeHeader.call(this, statusLine + text, headers)
  }
}

/** An answer is to have these, beside what is set on it; what a handler sets of them itself has the last word. */
export function setStaticHeaders(reply: FastifyReply, standing: StaticHeaders): void {
  const { raw } = reply
  if (raw instanceof StaticHeadersResponse) raw.staticHeaders = standing
  else void reply.headers(standing.headers) // Of `app.inject`, or of HTTP/2.
}
